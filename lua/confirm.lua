-- confirm.lua: begins to settle a hold that was paid for: held becomes sold, unless the hold has ended.
--
-- KEYS  1 stock hash  2 holds  3 hold details
--       4 closing     {sku:N}:closing  hash: order id -> state:token:seq:at:payment:amount:paid_order:hold details
--                     state is CONFIRMED, CANCELLED or EXPIRED; the three payment fields are empty unless it is CONFIRMED
--       5 closings    {sku:N}:closings sorted set: order id -> when its settlement was begun or last taken over (ms)
-- ARGV  1 epoch  2 replids  3 order  4 payment  5 amount (minor)  6 the order that the buyer paid for
-- Reply {'FENCED', reason}
--    or {'CLOSING', entry} the settlement of the order, begun now or before: by this payment, another, or otherwise
--    or {'EXPIRED', details} | {'AMOUNT', details} | {'GONE'} the order is not in Redis (any more)
-- Invariant: an order is settled once; what is begun stays in `closing` until release.lua has its token, so an event that
-- did not reach the log can always be published again, the same.

local stock_key, holds_key, hold_key, closing_key, closings_key = unpack(KEYS, 1, 5)
local epoch, order, payment, amount, paid = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local closed = fence(stock_key, epoch, ARGV[2])
if closed then return closed end

local begun = redis.call('HGET', closing_key, order)
if begun then return {'CLOSING', order .. ':' .. begun} end
local details = redis.call('HGET', hold_key, order)
if not details then return {'GONE'} end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local quantity, price, ends = string.match(details, '^%d+:%d+:(%d+):(%d+):%d+:%d+:(%d+):')
if tonumber(ends) <= now then return {'EXPIRED', order .. ':' .. details} end
-- At most 10 units of 10^11: exact in a double.
if tonumber(amount) ~= tonumber(quantity) * tonumber(price) then return {'AMOUNT', order .. ':' .. details} end

local function whole(number) return string.format('%d', number) end
local stock = redis.call('HMGET', stock_key, 'held', 'sold', 'seq', 'claims')
local held, sold, seq, claims = unpack(stock)
local token = epoch .. '-' .. whole(claims + 1)
local entry = table.concat({'CONFIRMED', token, whole(seq + 1), whole(now), payment, amount, paid, details}, ':')
-- The settlement first: a script that dies half-way has then lost nothing that it would be made of.
redis.call('HSET', closing_key, order, entry)
redis.call('ZADD', closings_key, whole(now), order)
redis.call('ZREM', holds_key, order)
redis.call('HDEL', hold_key, order)
redis.call('HSET', stock_key, 'held', whole(held - quantity), 'sold', whole(sold + quantity), 'seq', whole(seq + 1),
  'claims', whole(claims + 1))
return {'CLOSING', order .. ':' .. entry}
