-- Uploads: whose they are, how large, and until when they are kept. They count among the stored
-- bytes of their tenant from before they are stored until after they are gone.

local function media_record(queue, id)
  return record_at(queue .. ":media:" .. id)
end

local function expiry_key(queue)
  return queue .. ":media_expiry"
end

-- A tenant's uploads that are whole, by when they were made.
local function media_index_key(queue, tenant)
  return queue .. ":media_index:" .. tenant
end

-- What is told of an upload that is whole and can be used; nil for another.
local function media_answer(queue, id)
  local type, size, digest, create_time, is_expired = fields_at(queue .. ":media:" .. id,
    "content_type", "size_bytes", "digest", "create_time", "is_expired")
  if digest and not is_expired then
    return { id, type, size, digest, create_time, redis.call("ZSCORE", expiry_key(queue), id) }
  end
end

local function kept_until(args)
  return clock_micros() + math.floor(tonumber(args.kept_seconds) * MICROS)
end

register("add_media", function(queue, args)
  local account, size = account_of(queue, args.tenant), tonumber(args.size_bytes)
  require_room("max_stored_bytes", args.max_stored_bytes, number(account, "stored_bytes"), size)
  add(account, "stored_bytes", size)
  local create_time = next_create_time(queue)
  put_all(media_record(queue, args.media), { tenant = args.tenant, size_bytes = size,
    content_type = args.content_type, create_time = create_time })
  redis.call("ZADD", expiry_key(queue), kept_until(args), args.media)
  return create_time
end)

-- Its bytes are stored: from now on it is listed.
register("finish_media", function(queue, args)
  local media = media_record(queue, args.media)
  if media.values.tenant then
    put(media, "digest", args.digest)
    redis.call("ZADD", media_index_key(queue, media.values.tenant), media.values.create_time,
      args.media)
  end
end)

register_reader("get_media", function(queue, args)
  return media_answer(queue, args.media) or false
end)

-- Some of a tenant's uploads, newest first, and where the next page begins, if there may be one.
register_reader("list_media", function(queue, args)
  local found = redis.call("ZRANGE", media_index_key(queue, args.tenant), args.before, "-inf",
    "BYSCORE", "REV", "LIMIT", 0, args.max_media, "WITHSCORES")
  local answers = {}
  for i = 1, #found, 2 do
    answers[#answers + 1] = media_answer(queue, found[i])
  end
  local has_more = #found / 2 == tonumber(args.max_media)
  return { has_more and found[#found] or "", answers }
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
    redis.call("ZREM", media_index_key(queue, media.values.tenant), args.media)
  end
  redis.call("ZREM", expiry_key(queue), args.media)
  remove_record(media)
end)
