-- Holds an amount on one budget, if something of it is left.
-- KEYS: 1 hash of holds ('expiry:amount', or 'expiry:s' once settled; 'sum' and 'swept' beside them), 2 day spent, 3 month spent.
-- ARGV: 1 hold id, 2 amount, 3 lease in ms, 4 day limit ('' = none), 5 month limit.
-- Returns: held (1) or refused (0), day spent, month spent, sum of holds before this one.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function spent(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    redis.call('DEL', key)
    return 0
  end
  return tonumber(value or '') or 0
end

local function sweep()
  local all, sum = redis.call('HGETALL', KEYS[1]), 0
  for i = 1, #all, 2 do
    if all[i] ~= 'sum' and all[i] ~= 'swept' then
      local expiry, amount = string.match(all[i + 1], '^(%d+):(.+)$')
      if not expiry or tonumber(expiry) <= ms then
        redis.call('HDEL', KEYS[1], all[i])
      elseif amount ~= 's' then
        sum = sum + (tonumber(amount) or 0)
      end
    end
  end
  redis.call('HSET', KEYS[1], 'sum', string.format('%.0f', sum), 'swept', string.format('%.0f', ms))
  return sum
end

local meta = redis.pcall('HMGET', KEYS[1], 'sum', 'swept')
if meta.err then
  redis.call('DEL', KEYS[1])
  meta = { false, false }
end
local sum, swept = tonumber(meta[1] or '') or 0, tonumber(meta[2] or '') or 0
local fresh = false
if ms - swept > 1000 or swept > ms then
  sum = sweep()
  fresh = true
end

local day, month = spent(KEYS[2]), spent(KEYS[3])
local function is_used_up()
  local day_limit, month_limit = tonumber(ARGV[4]), tonumber(ARGV[5])
  return (day_limit and day + sum >= day_limit) or (month_limit and month + sum >= month_limit)
end
if is_used_up() and not fresh then sum = sweep() end
if is_used_up() then return { 0, day, month, sum } end

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%s', ms + tonumber(ARGV[3]), ARGV[2]),
  'sum', string.format('%.0f', sum + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], 3600000)
return { 1, day, month, sum }
