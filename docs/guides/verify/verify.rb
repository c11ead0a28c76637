#!/usr/bin/env ruby
# frozen_string_literal: true

# Is a request one that lockstep signed?
#
# Usage: WEBHOOK_SECRET=whsec_... ruby verify.rb ID TIMESTAMP SIGNATURES < body
# Exit code 0: it is. 1: it is not, and stderr says why.

require "openssl"

TOLERANCE_S = 300

# Nil for a genuine request, else the reason. `body` are the bytes as they came (`request.raw_post` in Rails).
def verify(secret, id, timestamp, signatures, body, now: Time.now.to_i)
  return "the secret does not begin with whsec_" unless secret.start_with?("whsec_")
  return "the timestamp is no number" unless timestamp.match?(/\A[0-9]+\z/)
  # Without this a request that somebody recorded could be played back for ever.
  return "the request is too old, or a clock is wrong" if (now - timestamp.to_i).abs > TOLERANCE_S

  key = secret.delete_prefix("whsec_").unpack1("m")
  code = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b + body.b)
  expected = [code].pack("m0")
  # Several signatures while a secret is being changed: one that fits is enough.
  fits = signatures.split(" ").any? do |one|
    version, given = one.split(",", 2)
    version == "v1" && OpenSSL.secure_compare(expected, given.to_s)
  end
  fits ? nil : "no signature fits"
end

if __FILE__ == $PROGRAM_NAME
  # Also for a signature that the shell took for two words: what was not looked at is not genuine.
  abort("usage: WEBHOOK_SECRET=whsec_... ruby verify.rb ID TIMESTAMP SIGNATURES < body") unless ARGV.size == 3
  reason = verify(ENV.fetch("WEBHOOK_SECRET"), *ARGV, $stdin.binmode.read)
  abort(reason) if reason
end
