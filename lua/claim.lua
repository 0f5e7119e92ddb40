-- claim.lua: begins to give holds back: one that its buyer cancels, all that have ended, or one that nobody was told of.
-- Their units leave `held` and wait in `closing`; they are not on sale before the log knows (release.lua).
--
-- KEYS  1 stock hash  2 holds  3 hold details  4 closing  5 closings (see confirm.lua)  6 the order's key ('early' only)
-- ARGV  1 epoch  2 replids
--       cancel: 3 'cancel'  4 order  5 the buyer, or '' if nobody says who asks
--       due:    3 'due'     4 at most so many  5 take over settlements that were begun so long ago (ms)
--       early:  3 'early'   4 order  5 its sequence number  6 the time (ms) from which on nobody may have been given the hold as
--               an answer (nor in the minute before it). The caller has made sure that no event of it from before that time
--               is in the log or will be
-- Reply {'FENCED', reason}
--    or, to cancel: {'CLOSING', entry} | {'EXPIRED'} | {'NOT_THEIRS'} | {'GONE'}
--    or, to due:    {'OK', now, next, hold_ms, entry...}; next is when the earliest of what is left is due, 0 if nothing is,
--                   and nothing that is reserved later can be due before now + hold_ms
-- Invariant: an order is settled once and to one end: what is taken over keeps its state, sequence number and payment and
-- gets a new token, so whoever began it can not finish it any more.

local stock_key, holds_key, hold_key, closing_key, closings_key = unpack(KEYS, 1, 5)
local epoch, mode = ARGV[1], ARGV[3]

local closed = fence(stock_key, epoch, ARGV[2])
if closed then return closed end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%d', number) end
local now_text = whole(now)

local stock = redis.call('HMGET', stock_key, 'held', 'closing', 'seq', 'claims', 'hold_ms')
for i = 1, 5 do stock[i] = tonumber(stock[i]) end
local held, closing, seq, claims, hold_ms = unpack(stock)
local changed = false

local function token()
  claims, changed = claims + 1, true
  return epoch .. '-' .. whole(claims)
end

-- Takes the hold away and returns its settlement.
local function take(state, order, details)
  local quantity = tonumber(string.match(details, '^%d+:%d+:(%d+):'))
  held, closing, seq = held - quantity, closing + quantity, seq + 1
  local entry = table.concat({state, token(), whole(seq), now_text, '', '', '', details}, ':')
  redis.call('HSET', closing_key, order, entry)
  redis.call('ZADD', closings_key, now_text, order)
  redis.call('ZREM', holds_key, order)
  redis.call('HDEL', hold_key, order)
  return order .. ':' .. entry
end

local function save()
  if changed then
    redis.call('HSET', stock_key, 'held', whole(held), 'closing', whole(closing), 'seq', whole(seq), 'claims', whole(claims))
  end
end

local function cancel(order, user)
  local begun = redis.call('HGET', closing_key, order)
  if begun then
    if user ~= '' and string.match(begun, '^%u+:[^:]*:%d+:%d+:[^:]*:%d*:%d*:%d+:(%d+):') ~= user then return {'NOT_THEIRS'} end
    return {'CLOSING', order .. ':' .. begun}
  end
  local details = redis.call('HGET', hold_key, order)
  if not details then return {'GONE'} end
  local owner, ends = string.match(details, '^%d+:(%d+):%d+:%d+:%d+:%d+:(%d+):')
  if user ~= '' and owner ~= user then return {'NOT_THEIRS'} end
  if tonumber(ends) <= now then return {'EXPIRED'} end
  local entry = take('CANCELLED', order, details)
  save()
  return {'CLOSING', entry}
end

-- Both times are Redis' clock, which may step back (an NTP correction, another server that has become the primary): a buyer
-- who asks behind the cut would then be noted with a time before it. So a minute before the cut counts as behind it: too
-- cautious only leaves a hold to the next run or to its own end, too bold would sell its units twice.
local CLOCK_MARGIN_MS = 60000

-- A hold whose event never came. A buyer who asks again is either before this, and then it is left alone, or behind it, and
-- then told that the reservation has expired.
local function early(order, wanted_seq, since)
  local details = redis.call('HGET', hold_key, order)
  if not details or string.match(details, '^%d+:%d+:%d+:%d+:(%d+):') ~= wanted_seq then return {'GONE'} end
  local asked_again = string.match(redis.call('GET', KEYS[6]) or '', '^[^:]+:%d+:%d+:R(%d+)$')
  if asked_again and tonumber(asked_again) >= since - CLOCK_MARGIN_MS then return {'RETRIED'} end
  local entry = take('EXPIRED', order, details)
  save()
  return {'CLOSING', entry}
end

-- The rest of `closing` whose claim is old, then holds that have ended.
local function due(most, patience)
  local entries = {}
  local stale = redis.call('ZRANGEBYSCORE', closings_key, '-inf', whole(now - patience), 'LIMIT', 0, most)
  for _, order in ipairs(stale) do
    local state, rest = string.match(redis.call('HGET', closing_key, order) or '', '^(%u+):[^:]*:(.*)$')
    redis.call('ZREM', closings_key, order)
    if state then
      local entry = state .. ':' .. token() .. ':' .. rest
      redis.call('HSET', closing_key, order, entry)
      redis.call('ZADD', closings_key, now_text, order)
      entries[#entries + 1] = order .. ':' .. entry
    end
  end
  local left = most - #stale
  local ended = left > 0 and redis.call('ZRANGEBYSCORE', holds_key, '-inf', now_text, 'LIMIT', 0, left) or {}
  for _, order in ipairs(ended) do
    local details = redis.call('HGET', hold_key, order)
    if details then
      entries[#entries + 1] = take('EXPIRED', order, details)
    else
      redis.call('ZREM', holds_key, order)
    end
  end
  save()
  local next_due = 0
  local first = redis.call('ZRANGE', holds_key, 0, 0, 'WITHSCORES')[2]
  local begun = redis.call('ZRANGE', closings_key, 0, 0, 'WITHSCORES')[2]
  if first then next_due = tonumber(first) end
  if begun and (next_due == 0 or begun + patience < next_due) then next_due = begun + patience end
  local reply = {'OK', now, next_due, hold_ms}
  for i = 1, #entries do reply[4 + i] = entries[i] end
  return reply
end

if mode == 'cancel' then return cancel(ARGV[4], ARGV[5]) end
if mode == 'early' then return early(ARGV[4], ARGV[5], tonumber(ARGV[6])) end
return due(tonumber(ARGV[4]), tonumber(ARGV[5]))
