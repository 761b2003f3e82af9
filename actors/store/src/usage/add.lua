-- Adds a batch of amounts to one day's counters, once however often it is sent.
-- KEYS: 1 hash of the day, 2 set of days, 3 mark of this batch.
-- ARGV: 1 the day, 2 seconds to keep it, then pairs of field and amount.
if not redis.call('SET', KEYS[3], '1', 'NX', 'EX', 86400) then return 0 end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
if redis.call('TYPE', KEYS[2]).ok ~= 'set' then redis.call('DEL', KEYS[2]) end
for i = 3, #ARGV, 2 do
  local sum = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(sum) ~= 'number' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[1])
return 1
