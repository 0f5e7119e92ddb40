-- release.lua: finishes settlements whose events the log has acknowledged: units that were not paid for go back on sale,
-- and the order leaves Redis but for its buyer's count and its key's answer.
--
-- KEYS  1 stock hash  2 buyers  3 closing  4 closings (see confirm.lua)  5.. one idempotency key per order
-- ARGV  1 epoch  2 replids  3.. two per order: order, token
-- Reply {'FENCED', reason} | {'OK', now, finished}
-- Invariant: a settlement is finished once, by whoever holds its token; nothing is given back that the log does not know.

local stock_key, buyers_key, closing_key, closings_key = unpack(KEYS, 1, 4)
local epoch = ARGV[1]
local FIRST_KEY, FIRST_ARG = 5, 3

local closed = fence(stock_key, epoch, ARGV[2])
if closed then return closed end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%d', number) end
local FIELDS = '^(%u+):([^:]*):%d+:%d+:[^:]*:%d*:%d*:(%d+):(%d+):(%d+):%d+:%d+:(%d+):(%d+):'
local back, finished = 0, 0

local function give_back(user, quantity)
  local units, rest = string.match(redis.call('HGET', buyers_key, user) or '', '^(%d+)(:.*)$')
  if units then redis.call('HSET', buyers_key, user, whole(math.max(0, units - quantity)) .. rest) end
  back = back + quantity
end

-- What the key answers from now on: kept, so that it stays one answer for as long as the key lives.
local function answer(key, order, state, quantity, reservation, reserved_at, expires_at)
  local known = redis.call('GET', key)
  if not known or not string.find(known, epoch .. ':' .. quantity .. ':' .. order, 1, true) then return end
  local settled = ':X'
  if state == 'CANCELLED' then settled = ':K' end
  if state == 'CONFIRMED' then settled = ':C:' .. reservation .. ':' .. reserved_at .. ':' .. expires_at end
  redis.call('SET', key, epoch .. ':' .. quantity .. ':' .. order .. settled, 'KEEPTTL')
end

for i = 0, #KEYS - FIRST_KEY do
  local order, token = ARGV[FIRST_ARG + i * 2], ARGV[FIRST_ARG + i * 2 + 1]
  local entry = redis.call('HGET', closing_key, order)
  if entry then
    local state, owner, reservation, user, quantity, reserved_at, expires_at = string.match(entry, FIELDS)
    if owner == token then
      finished = finished + 1
      redis.call('HDEL', closing_key, order)
      redis.call('ZREM', closings_key, order)
      answer(KEYS[FIRST_KEY + i], order, state, quantity, reservation, reserved_at, expires_at)
      if state ~= 'CONFIRMED' then give_back(user, tonumber(quantity)) end
    end
  end
end
-- Last: a script that dies half-way can only under-sell.
if back > 0 then
  local stock = redis.call('HMGET', stock_key, 'available', 'closing')
  -- Daemons may say "sold out" from memory for a moment longer: whoever wins now hears of it when that is over (reserve.lua).
  if tonumber(stock[1]) == 0 then redis.call('HSET', stock_key, 'restocked_ms', whole(now)) end
  redis.call('HSET', stock_key, 'closing', whole(stock[2] - back), 'available', whole(stock[1] + back))
end
return {'OK', now, finished}
