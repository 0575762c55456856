-- The event log: one stream a video, and one small stream that says whose log has grown.

local EVENTS_KEPT = 20000
local NOTIFICATIONS_KEPT = 10000

local function notify_watchers(queue, id)
  redis.call("XADD", queue .. ":notify", "MAXLEN", "~", NOTIFICATIONS_KEPT, "*", "video", id)
end

-- `event` is an encoded VideoEvent; its id and time are those of the entry.
local function append_event(queue, id, event, position)
  local entry = { "event", event }
  if position then
    entry = { "event", event, "queue_position", position }
    redis.call("HSET", video_key(queue, id), "logged_position", position)
  end
  local log = queue .. ":events:" .. id
  local event_id = redis.call("XADD", log, "MAXLEN", "~", EVENTS_KEPT, "*", unpack(entry))
  redis.call("HSETNX", video_key(queue, id), "first_event_id", event_id)
  notify_watchers(queue, id)
end
