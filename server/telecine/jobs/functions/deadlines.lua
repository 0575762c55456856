-- Videos that no worker claims in time end: on time by whoever calls expire_deadlines, at the
-- latest when one of them would be claimed.

local EXPIRED_AT_ONCE = 100

local function deadlines_key(queue)
  return queue .. ":deadlines"
end

-- Starts to count a video's time to its first claim, if it has a limit.
local function watch_deadline(queue, video)
  if video.values.start_deadline then
    redis.call("ZADD", deadlines_key(queue), video.values.start_deadline, video.values.video)
  end
end

local function ignore_deadline(queue, video)
  if video.values.start_deadline then
    redis.call("ZREM", deadlines_key(queue), video.values.video)
  end
end

local function is_overdue(video, now)
  return video.values.start_deadline and number(video, "start_deadline") <= now
    and not video.values.start_time
end

local function end_waiting(queue, video, trigger, ending)
  dequeue(queue, video)
  ignore_deadline(queue, video)
  move(queue, video, trigger)
  settle_end(queue, video)
  put_all(video, { end_time = clock_micros(), outcome = ending.outcome })
  append_event(queue, video, ending.event)
  forget_past_when_idle(queue)
end

local function expire(queue, video, args)
  end_waiting(queue, video, "expire", { event = args.expired_event, outcome = args.expired_outcome })
end

register("expire_deadlines", function(queue, args)
  local overdue = redis.call("ZRANGE", deadlines_key(queue), "-inf", clock_micros(), "BYSCORE",
    "LIMIT", 0, EXPIRED_AT_ONCE)
  for _, id in ipairs(overdue) do
    expire(queue, video_record(queue, id), args)
  end
  return #overdue
end)
