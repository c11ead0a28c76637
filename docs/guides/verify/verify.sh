#!/usr/bin/env bash
# Is a request one that lockstep signed? For trying out, and for small things: other users of the machine can see the key
# among the running programs for a moment, and the comparison takes longer the more is right.
#
# Usage: WEBHOOK_SECRET=whsec_... bash verify.sh ID TIMESTAMP SIGNATURES < body
# Exit code 0: it is. 1: it is not, and stderr says why.
set -euo pipefail

tolerance_s=300

fail() {
  echo "$1" >&2
  exit 1
}

# Also for a signature that the shell took for two words: what was not looked at is not genuine.
(($# == 3)) || fail "usage: WEBHOOK_SECRET=whsec_... bash verify.sh ID TIMESTAMP SIGNATURES < body"
id=$1 timestamp=$2 signatures=$3

[[ $WEBHOOK_SECRET == whsec_* ]] || fail "the secret does not begin with whsec_"
[[ $timestamp =~ ^[0-9]{1,12}$ ]] || fail "the timestamp is no number"
# Without this a request that somebody recorded could be played back for ever.
age=$(($(date +%s) - 10#$timestamp))
((age <= tolerance_s && age >= -tolerance_s)) || fail "the request is too old, or a clock is wrong"

key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
expected=$({ printf '%s.%s.' "$id" "$timestamp"; cat; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
# Several signatures while a secret is being changed: one that fits is enough.
for one in $signatures; do
  [[ $one == "v1,$expected" ]] && exit 0
done
fail "no signature fits"
