#!/usr/bin/env perl
# Is a request one that lockstep signed?
#
# Usage: WEBHOOK_SECRET=whsec_... perl verify.pl ID TIMESTAMP SIGNATURES < body
# Exit code 0: it is. 1: it is not, and stderr says why.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 hmac_sha256_base64);
use MIME::Base64 qw(decode_base64);

my $TOLERANCE_S = 300;

# Nothing for a genuine request, else the reason. $body are the bytes as they came, before any parsing.
sub verify {
    my ($secret, $id, $timestamp, $signatures, $body) = @_;
    $secret =~ s/\Awhsec_// or return 'the secret does not begin with whsec_';
    $timestamp =~ /\A[0-9]+\z/ or return 'the timestamp is no number';
    # Without this a request that somebody recorded could be played back for ever.
    abs(time - $timestamp) <= $TOLERANCE_S or return 'the request is too old, or a clock is wrong';
    my $key = decode_base64($secret);
    my $expected = hmac_sha256_base64("$id.$timestamp.$body", $key);
    # Several signatures while a secret is being changed: one that fits is enough.
    for my $one (split / /, $signatures) {
        my ($version, $code) = split /,/, $one, 2;
        next unless defined $code && $version eq 'v1';
        # Perl leaves the padding out.
        $code =~ s/=+\z//;
        # Codes of both are compared: how long that takes tells nothing about the signature itself.
        return if hmac_sha256($code, $key) eq hmac_sha256($expected, $key);
    }
    return 'no signature fits';
}

unless (caller) {
    if (@ARGV != 3) {
        # Also for a signature that the shell took for two words: what was not looked at is not genuine.
        print STDERR "usage: WEBHOOK_SECRET=whsec_... perl verify.pl ID TIMESTAMP SIGNATURES < body\n";
        exit 1;
    }
    binmode STDIN;
    my $body = do { local $/; <STDIN> };
    my $reason = verify($ENV{WEBHOOK_SECRET} // '', @ARGV, $body // '');
    if (defined $reason) {
        print STDERR "$reason\n";
        exit 1;
    }
}
