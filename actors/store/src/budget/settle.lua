-- Ends a hold and spends the true amount, once however often it is sent: a mark stays in the hold's place for a while.
-- KEYS: 1 hash of holds, 2 day spent, 3 month spent.
-- ARGV: 1 hold id, 2 amount, 3 life of the mark in ms, 4 and 5 life of the day and month in ms.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = redis.pcall('HGET', KEYS[1], ARGV[1])
if type(hold) == 'table' then
  redis.call('DEL', KEYS[1])
  hold = false
end
if hold then
  local amount = string.match(hold, ':(.+)$')
  if amount == 's' then return 0 end
  local sum = (tonumber(redis.call('HGET', KEYS[1], 'sum') or '') or 0) - (tonumber(amount) or 0)
  redis.call('HSET', KEYS[1], 'sum', string.format('%.0f', math.max(0, sum)))
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:s', ms + tonumber(ARGV[3])))
redis.call('PEXPIRE', KEYS[1], 3600000)
if ARGV[2] ~= '0' then
  for i = 2, 3 do
    local sum = redis.pcall('INCRBY', KEYS[i], ARGV[2])
    if type(sum) ~= 'number' then redis.call('SET', KEYS[i], ARGV[2]) end
    redis.call('PEXPIRE', KEYS[i], ARGV[i + 2])
  end
end
return 1
