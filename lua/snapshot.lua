-- snapshot.lua: reads a SKU's counters and sequence number in one step.
--
-- KEYS  1 stock hash  2 holds
-- ARGV  none
-- Reply {} if the SKU is not there, otherwise {epoch, now, capacity, available, held, sold, closing, seq, first_expiry, holds,
--       at_home}
-- Invariant: changes nothing; first_expiry is 0 when nothing is held; at_home is 1 if it was filled on this server (fence.lua),
-- else 0.

local stock = redis.call('HMGET', KEYS[1], 'epoch', 'capacity', 'available', 'held', 'sold', 'closing', 'seq', 'home')
if not stock[1] then return {} end
local clock = redis.call('TIME')
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local reply = {stock[1], clock[1] * 1000 + math.floor(clock[2] / 1000)}
for i = 2, 7 do reply[i + 1] = tonumber(stock[i] or 0) end
reply[9] = tonumber(first[2] or 0)
reply[10] = redis.call('ZCARD', KEYS[2])
reply[11] = stock[8] == replication() and 1 or 0
return reply
