-- The event log: one stream a video, and one small stream that says whose log has grown.

local EVENTS_KEPT = 20000
local NOTIFICATIONS_KEPT = 10000

local function notify_watchers(queue, video)
  redis.call("XADD", queue .. ":notify", "MAXLEN", "~", NOTIFICATIONS_KEPT, "*",
    "video", video.values.video, "tenant", video.values.tenant)
end

-- `event` is an encoded VideoEvent; its id and time are those of the entry.
local function log_event(queue, video, event, position)
  local entry = { "event", event }
  if position then
    entry = { "event", event, "queue_position", position }
    put(video, "logged_position", position)
  end
  local log = queue .. ":events:" .. video.values.video
  local event_id = redis.call("XADD", log, "MAXLEN", "~", EVENTS_KEPT, next_event_id(),
    unpack(entry))
  if not video.values.first_event_id then
    put(video, "first_event_id", event_id)
  end
end

local function append_event(queue, video, event, position)
  log_event(queue, video, event, position)
  notify_watchers(queue, video)
end
