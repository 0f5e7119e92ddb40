-- audit.lua: reads everything that an audit compares about a SKU, in one step. It changes nothing.
--
-- KEYS  1 stock hash  2 holds  3 hold details  4 closing  5 closings (see confirm.lua)
-- ARGV  1 epoch  2 replids  3 add up at most so many holds, and so many settlements
-- Reply {'FENCED', reason}
--    or {'OK', now, capacity, available, held, sold, closing, seq, opened_seq, per_user, hold_ms, opens_at, closes_at, paused,
--        holds, holds_by_expiry, settling, settling_by_age, hold_units, closing_units, first_expiry, first_settling}
--       opened_seq is -1 if it is not there; hold_units and closing_units are -1 if there are too many to add up;
--       first_expiry and first_settling are 0 if there is none. What is no number is 0: the sums will show it.
-- Invariant: the counters and the sequence number are of one instant, so the ledger up to seq must say the same.

local stock_key, holds_key, hold_key, closing_key, closings_key = unpack(KEYS, 1, 5)
local most = tonumber(ARGV[3])

local closed = fence(stock_key, ARGV[1], ARGV[2])
if closed then return closed end

local clock = redis.call('TIME')
local stock = redis.call('HMGET', stock_key, 'capacity', 'available', 'held', 'sold', 'closing', 'seq', 'opened_seq',
  'per_user', 'hold_ms', 'opens_at', 'closes_at', 'paused')
local reply = {'OK', clock[1] * 1000 + math.floor(clock[2] / 1000)}
for i = 1, 12 do reply[2 + i] = tonumber(stock[i] or '') or (i == 7 and -1 or 0) end

local holds, settling = redis.call('HLEN', hold_key), redis.call('HLEN', closing_key)
local hold_units, closing_units = -1, -1
if holds <= most then
  hold_units = 0
  for _, details in ipairs(redis.call('HVALS', hold_key)) do
    hold_units = hold_units + (tonumber(string.match(details, '^%d+:%d+:(%d+):')) or 0)
  end
end
if settling <= most then
  closing_units = 0
  for _, entry in ipairs(redis.call('HVALS', closing_key)) do
    local state, quantity = string.match(entry, '^(%u+):[^:]*:%d+:%d+:[^:]*:%d*:%d*:%d+:%d+:(%d+):')
    if state ~= 'CONFIRMED' then closing_units = closing_units + (tonumber(quantity) or 0) end
  end
end
local first = redis.call('ZRANGE', holds_key, 0, 0, 'WITHSCORES')[2]
local begun = redis.call('ZRANGE', closings_key, 0, 0, 'WITHSCORES')[2]
local counted = {holds, redis.call('ZCARD', holds_key), settling, redis.call('ZCARD', closings_key), hold_units,
  closing_units, tonumber(first or 0), tonumber(begun or 0)}
for i = 1, 8 do reply[14 + i] = counted[i] end
return reply
