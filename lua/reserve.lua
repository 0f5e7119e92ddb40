-- reserve.lua: decides a batch of purchases of one SKU, in order, in one step.
--
-- KEYS  1 stock hash      {sku:N}:stock   epoch, home (see fence.lua), capacity, available, held, sold, closing, seq, opened_seq (seq when the epoch
--                                         began), claims, per_user, hold_ms, opens_at, closes_at, paused,
--                                         restocked_ms (when units last came back while none was available)
--       2 holds           {sku:N}:holds   sorted set: order id -> expiry (ms)
--       3 hold details    {sku:N}:hold    hash: order id -> reservation:user:quantity:price:seq:reserved_at:expires_at:key
--       4 buyers          {sku:N}:buyers  hash: user -> units:milli_tokens:token_ms
--       5 winners         {sku:N}:winners list: every buyer that ever won, in order; daemons read its tail
--       6 closing         {sku:N}:closing hash: order id -> a settlement under way, see confirm.lua
--       7.. one per ask   {sku:N}:key:USER:KEY   epoch:quantity:order, expires after the idempotency time; when the order
--                         is settled release.lua adds :C:reservation:reserved_at:expires_at, :K (cancelled) or :X (expired);
--                         until then :R and a time (ms) says when a repeated purchase was last given this hold as its answer
-- ARGV  1 epoch  2 replids  3 unit price (minor)  4 idempotency time (ms)  5 burst  6 tokens per second
--       7.. four per ask: user, quantity, order id, reservation id. Without an order id only the answer that the key already
--       has is wanted: if it has none, that is 10
-- Reply {'FENCED', reason}
--    or {'OK', now, hold_ms, available, held, sold, closing, seq, first_expiry, winners, restocked_ms, verdict...}:
--       0 won | 2 key reused | 3 rate limited | 4 not open | 5 closed | 6 cap reached | 7 sold out | 8 hold expired
--       9 hold cancelled | 10 paused, or a string, the answer the key already has:
--       H:order:hold details of a live hold, or C:order:reservation:reserved_at:expires_at of an order that is paid for.
--       winners is the length of that list when nothing is available, otherwise 0 (nobody needs it then).
--       The n-th win of the batch has sequence number seq - wins + n.
-- Invariant: available + held + sold + closing = capacity; a refusal changes no stock and no sequence number. The order of checks
-- is key, rate, pause, window, cap, stock. Writes happen at the end and stock goes down first, so a script that dies half-way
-- can only under-sell.

local stock_key, holds_key, hold_key, buyers_key, winners_key, closing_key = unpack(KEYS, 1, 6)
local epoch, price, key_ttl_ms = ARGV[1], ARGV[3], ARGV[4]
local burst, rate = tonumber(ARGV[5]) * 1000, tonumber(ARGV[6])
local FIRST_KEY, FIRST_ARG, PER_ASK = 7, 7, 4
local count = #KEYS - FIRST_KEY + 1

local closed = fence(stock_key, epoch, ARGV[2])
if closed then return closed end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stock = redis.call('HMGET', stock_key,
  'available', 'held', 'sold', 'closing', 'seq', 'per_user', 'hold_ms', 'opens_at', 'closes_at', 'paused',
  'restocked_ms')
for i = 1, 11 do stock[i] = tonumber(stock[i]) end
local available, held, sold, closing, seq, per_user, hold_ms, opens_at, closes_at, paused = unpack(stock)
local restocked_ms = stock[11] or 0
local expires_at = now + hold_ms

-- 64-bit ids stay strings: a Lua number is a double. Timestamps and counters fit into 53 bits.
local function whole(number) return string.format('%d', number) end
local now_text, expires_text = whole(now), whole(expires_at)

local users, answers = {}, {}
for i = 1, count do users[i] = ARGV[FIRST_ARG + (i - 1) * PER_ASK] end
for i = 1, count do answers[i] = KEYS[FIRST_KEY + i - 1] end
local known_keys = redis.call('MGET', unpack(answers))
local known_buyers = redis.call('HMGET', buyers_key, unpack(users))

local buyers = {}       -- user -> {units, milli_tokens, token_ms}, as this batch leaves them
local new_keys = {}     -- key name -> stored answer of this batch
local new_holds = {}    -- order id -> details of this batch
local wins = 0
local set_holds, set_details, set_buyers, new_winners = {}, {}, {}, {}

local function buyer_of(i)
  local user = users[i]
  local buyer = buyers[user]
  if buyer == nil and known_buyers[i] then
    local units, tokens, at = string.match(known_buyers[i], '^(%d+):(%d+):(%d+)$')
    buyer = {tonumber(units), tonumber(tokens), tonumber(at)}
    buyers[user] = buyer
  end
  return buyer
end

-- The answer of an order that is being settled this moment. One that is being paid for is still its buyer's.
local function settling(order)
  local state, details = string.match(redis.call('HGET', closing_key, order) or '',
    '^(%u+):[^:]*:%d+:%d+:[^:]*:%d*:%d*:(.*)$')
  if state == 'CONFIRMED' then return 'H:' .. order .. ':' .. details end
  return state == 'CANCELLED' and 9 or 8
end

-- The answer a key already has, or nil. An answer of another epoch does not count: the rebuild wrote the true ones anew.
local function answered(i, name, quantity)
  local answer = new_keys[name] or known_keys[i]
  if not answer then return nil end
  local of_epoch, of_quantity, order, settled = string.match(answer, '^([^:]+):(%d+):(%d+):?(.*)$')
  if of_epoch ~= epoch then return nil end
  if of_quantity ~= quantity then return 2 end
  local how = string.sub(settled, 1, 1)
  if how == 'C' then return 'C:' .. order .. string.sub(settled, 2) end
  if how == 'K' then return 9 end
  if how == 'X' then return 8 end
  local details = new_holds[order] or redis.call('HGET', hold_key, order)
  if details then
    local ends = string.match(details, '^%d+:%d+:%d+:%d+:%d+:%d+:(%d+):')
    if tonumber(ends) <= now then return 8 end
    -- Its event may be on its way to the log again from this moment on: claim.lua must not take it for forgotten.
    if not new_keys[name] then
      redis.call('SET', name, epoch .. ':' .. quantity .. ':' .. order .. ':R' .. now_text, 'KEEPTTL')
    end
    return 'H:' .. order .. ':' .. details
  end
  return settling(order)
end

-- Refills and charges the bucket of a buyer who has one; who never won has none, so refusals cost no memory.
local function take_token(buyer)
  local gained = math.max(0, now - buyer[3]) * rate
  buyer[2] = math.min(burst, buyer[2] + gained)
  buyer[3] = math.max(now, buyer[3])
  buyer.dirty = true
  if buyer[2] < 1000 then return false end
  buyer[2] = buyer[2] - 1000
  return true
end

local function win(i, name, quantity, buyer)
  local base = FIRST_ARG + (i - 1) * PER_ASK
  local order, reservation = ARGV[base + 2], ARGV[base + 3]
  local units = tonumber(quantity)
  wins = wins + 1
  available, held, seq = available - units, held + units, seq + 1
  if not buyer then
    buyer = {0, burst - 1000, now}
    buyers[users[i]] = buyer
    new_winners[#new_winners + 1] = users[i]
  end
  buyer[1], buyer.dirty = buyer[1] + units, true
  local key = string.sub(name, string.len(stock_key) + string.len(users[i]) + 1)
  local details = table.concat({reservation, users[i], quantity, price, whole(seq), now_text, expires_text, key}, ':')
  new_keys[name] = epoch .. ':' .. quantity .. ':' .. order
  new_holds[order] = details
  local n = #set_holds
  set_holds[n + 1], set_holds[n + 2] = expires_text, order
  set_details[n + 1], set_details[n + 2] = order, details
end

local function decide(i)
  local base = FIRST_ARG + (i - 1) * PER_ASK
  local name, quantity = KEYS[FIRST_KEY + i - 1], ARGV[base + 1]
  local answer = answered(i, name, quantity)
  if answer then return answer end
  if ARGV[base + 2] == '' then return 10 end
  local buyer = buyer_of(i)
  if buyer and not take_token(buyer) then return 3 end
  if paused == 1 then return 10 end
  if now < opens_at then return 4 end
  if closes_at > 0 and now >= closes_at then return 5 end
  if (buyer and buyer[1] or 0) + tonumber(quantity) > per_user then return 6 end
  if tonumber(quantity) > available then return 7 end
  win(i, name, quantity, buyer)
  return 0
end

local verdicts = {}
for i = 1, count do verdicts[i] = decide(i) end

if wins > 0 then
  redis.call('HSET', stock_key, 'available', whole(available), 'held', whole(held), 'seq', whole(seq))
  redis.call('HSET', hold_key, unpack(set_details))
  redis.call('ZADD', holds_key, unpack(set_holds))
  for name, answer in pairs(new_keys) do redis.call('SET', name, answer, 'PX', key_ttl_ms) end
end
for user, buyer in pairs(buyers) do
  if buyer.dirty then
    local n = #set_buyers
    set_buyers[n + 1] = user
    set_buyers[n + 2] = whole(buyer[1]) .. ':' .. whole(buyer[2]) .. ':' .. whole(buyer[3])
  end
end
if #new_winners > 0 then redis.call('RPUSH', winners_key, unpack(new_winners)) end
if #set_buyers > 0 then redis.call('HSET', buyers_key, unpack(set_buyers)) end

local first_expiry, winners = 0, 0
if available == 0 then
  winners = redis.call('LLEN', winners_key)
  local first = redis.call('ZRANGE', holds_key, 0, 0, 'WITHSCORES')
  if first[2] then first_expiry = tonumber(first[2]) end
end
local reply = {'OK', now, hold_ms, available, held, sold, closing, seq, first_expiry, winners, restocked_ms}
for i = 1, count do reply[11 + i] = verdicts[i] end
return reply
