-- configure.lua: changes the terms of a SKU that is on sale; never its stock.
--
-- KEYS  1 stock hash
-- ARGV  1 epoch  2 replids  3 per_user  4 hold_ms  5 opens_at  6 closes_at (0: none)  7 paused (0 or 1)
-- Reply {'FENCED', reason} | 'OK'
-- Invariant: holds that exist keep the expiry they were told.

local closed = fence(KEYS[1], ARGV[1], ARGV[2])
if closed then return closed end
redis.call('HSET', KEYS[1], 'per_user', ARGV[3], 'hold_ms', ARGV[4], 'opens_at', ARGV[5], 'closes_at', ARGV[6],
  'paused', ARGV[7])
return 'OK'
