-- Uploads: whose they are, how large, and until when they are kept. They count among the stored
-- bytes of their tenant from before they are stored until after they are gone.

local function media_record(queue, id)
  return record_at(queue .. ":media:" .. id)
end

local function expiry_key(queue)
  return queue .. ":media_expiry"
end

local function kept_until(args)
  return clock_micros() + math.floor(tonumber(args.kept_seconds) * MICROS)
end

register("add_media", function(queue, args)
  local account, size = account_of(queue, args.tenant), tonumber(args.size_bytes)
  require_room("max_stored_bytes", args.max_stored_bytes, number(account, "stored_bytes"), size)
  add(account, "stored_bytes", size)
  put_all(media_record(queue, args.media), { tenant = args.tenant, size_bytes = size })
  redis.call("ZADD", expiry_key(queue), kept_until(args), args.media)
end)

-- Puts off the end of one that is used; false where that has come already.
register("use_media", function(queue, args)
  local media = media_record(queue, args.media)
  if media.values.is_expired then
    return false
  end
  redis.call("ZADD", expiry_key(queue), "XX", "GT", kept_until(args), args.media)
  return 1
end)

-- Hands out those whose time is over, and nobody can use them any more; who does not remove one
-- in time leaves it to the next.
register("claim_expired_media", function(queue, args)
  local now = clock_micros()
  local due = redis.call("ZRANGE", expiry_key(queue), "-inf", now, "BYSCORE", "LIMIT", 0,
    args.max_media)
  for _, id in ipairs(due) do
    redis.call("ZADD", expiry_key(queue), now + tonumber(args.hold_seconds) * MICROS, id)
    put(media_record(queue, id), "is_expired", "1")
  end
  return due
end)

register("remove_media", function(queue, args)
  local media = media_record(queue, args.media)
  if media.values.tenant then
    add(account_of(queue, media.values.tenant), "stored_bytes", -number(media, "size_bytes"))
  end
  redis.call("ZREM", expiry_key(queue), args.media)
  remove_record(media)
end)
