-- Replaces a key by its revoked record and frees its name.
-- KEYS: 1 hash of records, 2 version, 3 hash of names in use. ARGV: 1 id, 2 record, 3 name.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('HGET', KEYS[3], ARGV[3]) == ARGV[1] then redis.call('HDEL', KEYS[3], ARGV[3]) end
redis.call('INCR', KEYS[2])
return 1
