-- Webhooks: whom to tell that a video has ended, until they have answered.

local function webhooks_key(queue)
  return queue .. ":webhooks"
end

local function webhook_key(queue, id)
  return queue .. ":webhook:" .. id
end

-- Called with each change of a video's state; what is told does not need the video any more.
function queue_webhook(queue, video, state)
  local values = video.values
  if not ENDED[state] or not values.webhook_url then
    return
  end
  local now = clock_micros()
  redis.call("HSET", webhook_key(queue, values.video), "video", values.video, "url",
    values.webhook_url, "tenant", values.tenant, "state", state, "end_time", now, "num_tries", 0)
  redis.call("ZADD", webhooks_key(queue), now, values.video)
end
