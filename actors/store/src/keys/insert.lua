-- Adds a key unless its name is in use.
-- KEYS: 1 hash of records, 2 version, 3 hash of names in use. ARGV: 1 id, 2 record, 3 name.
if redis.call('HSETNX', KEYS[3], ARGV[3], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('INCR', KEYS[2])
return 1
