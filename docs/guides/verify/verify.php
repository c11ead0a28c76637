<?php
// Is a request one that lockstep signed?
//
// Usage: WEBHOOK_SECRET=whsec_... php verify.php ID TIMESTAMP SIGNATURES < body
// Exit code 0: it is. 1: it is not, and stderr says why.
//
// In a web page: $body is file_get_contents('php://input'), and the three others are $_SERVER['HTTP_WEBHOOK_ID'],
// $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] and $_SERVER['HTTP_WEBHOOK_SIGNATURE'].

declare(strict_types=1);

const TOLERANCE_S = 300;

/** Null for a genuine request, else the reason. $body are the bytes as they came, before any parsing. */
function verify(string $secret, string $id, string $timestamp, string $signatures, string $body): ?string
{
    if (strncmp($secret, 'whsec_', 6) !== 0) {
        return 'the secret does not begin with whsec_';
    }
    if (preg_match('/\A[0-9]+\z/', $timestamp) !== 1) {
        return 'the timestamp is no number';
    }
    // Without this a request that somebody recorded could be played back for ever.
    if (abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return 'the request is too old, or a clock is wrong';
    }
    $key = base64_decode(substr($secret, 6), true);
    if ($key === false) {
        return 'the secret is no base64';
    }
    $expected = base64_encode(hash_hmac('sha256', $id . '.' . $timestamp . '.' . $body, $key, true));
    // Several signatures while a secret is being changed: one that fits is enough.
    foreach (explode(' ', $signatures) as $one) {
        [$version, $code] = explode(',', $one, 2) + ['', ''];
        if ($version === 'v1' && hash_equals($expected, $code)) {
            return null;
        }
    }
    return 'no signature fits';
}

// Run as a command, not included.
if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === realpath(__FILE__)) {
    $arguments = array_slice($_SERVER['argv'], 1);
    if (count($arguments) !== 3) {
        // Also for a signature that the shell took for two words: what was not looked at is not genuine.
        fwrite(STDERR, "usage: WEBHOOK_SECRET=whsec_... php verify.php ID TIMESTAMP SIGNATURES < body\n");
        exit(1);
    }
    [$id, $timestamp, $signatures] = $arguments;
    $body = (string) stream_get_contents(STDIN);
    $reason = verify((string) getenv('WEBHOOK_SECRET'), $id, $timestamp, $signatures, $body);
    if ($reason !== null) {
        fwrite(STDERR, $reason . "\n");
        exit(1);
    }
}
