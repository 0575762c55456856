-- Leases and fencing tokens: who may write to a video, and how a video leaves its worker.

local LEASES_EXPIRED_AT_ONCE = 100
local CANCEL_ASKED, PAUSE_ASKED = 1, 2

local function leases_key(queue)
  return queue .. ":leases"
end

-- Which video a claim was answered with, while its lease stands.
local function claims_key(queue)
  return queue .. ":claims"
end

local function extend_lease(queue, id, lease_seconds)
  put(video_record(queue, id), "lease_seconds", lease_seconds)
  redis.call("ZADD", leases_key(queue), clock_micros() + tonumber(lease_seconds) * MICROS, id)
end

-- Where the clock went back, leases end later than they could if they were given now: their time
-- begins anew, so that a lost worker is not missed for as long as the clock went.
local function shorten_leases(queue)
  local now = clock_micros()
  if number(record_at(queue), "tick") <= now + MICROS then
    return
  end
  local longest = redis.call("ZRANGE", leases_key(queue), 0, LEASES_EXPIRED_AT_ONCE - 1, "REV",
    "WITHSCORES")
  for i = 1, #longest, 2 do
    local ending = now + number(video_record(queue, longest[i]), "lease_seconds") * MICROS
    if tonumber(longest[i + 1]) > ending then
      redis.call("ZADD", leases_key(queue), ending, longest[i])
    end
  end
end

-- The video, unless it is held with another token than the call's, or not at all.
local function held_video(queue, args)
  local video = video_record(queue, args.video)
  if video.values.state ~= "RUNNING" or video.values.token ~= args.token then
    refuse("LEASE_LOST", args.video .. " is no longer held with token " .. args.token)
  end
  return video
end

-- What clients have asked of the video's holder.
local function directive(video)
  return (video.values.is_cancel_requested and CANCEL_ASKED or 0)
    + (video.values.is_pause_requested and PAUSE_ASKED or 0)
end

-- A function that writes for the holder of a lease and extends it. It answers what its body
-- does, else what clients have asked for.
local function register_held(name, body)
  register(name, function(queue, args)
    local video = held_video(queue, args)
    local answer = body(queue, video, args)
    extend_lease(queue, args.video, args.lease_seconds)
    return answer or directive(video)
  end)
end

-- Takes a running video from its worker; `gpu_seconds` is what it used since its last slice.
local function release(queue, video, trigger, gpu_seconds)
  leave_stage(video, clock_micros())
  settle(queue, video, gpu_seconds or 0)
  add(record_at(queue), "running_units:" .. video.values.pool, -number(video, "units_held"))
  redis.call("ZREM", leases_key(queue), video.values.video)
  if video.values.claim_id then
    redis.call("HDEL", claims_key(queue), video.values.claim_id)
  end
  drop(video, "token", "worker_id", "claim_id", "pools", "units_held", "slice_start",
    "slice_end", "verdict")
  count_running(queue, video, -1)
  move(queue, video, trigger)
  let_go(queue, tenant_of(queue, video))
end

local function finish(queue, video, trigger, ending)
  release(queue, video, trigger, tonumber(ending.gpu_seconds))
  settle_end(queue, video)
  put_all(video, { end_time = clock_micros(), outcome = ending.outcome })
  drop(video, "checkpoints", "checkpoint_step")
  append_event(queue, video, ending.event)
  forget_past_when_idle(queue)
end

local function forget_steps_not_kept(video)
  put(video, "step_index", video.values.checkpoint_step or "0")
end

local function put_back(queue, video, trigger, queued_event)
  release(queue, video, trigger)
  forget_steps_not_kept(video)
  enqueue(queue, video)
  append_event(queue, video, queued_event, place_of(queue, video, clock_micros()).position)
end

local function set_aside(queue, video, paused_event)
  release(queue, video, "acknowledge_pause")
  forget_steps_not_kept(video)
  drop(video, "is_pause_requested")
  append_event(queue, video, paused_event)
  forget_past_when_idle(queue)
end

-- Ends a lease without a result: what clients have asked for happens now, else the video waits
-- again.
local function give_back(queue, video, trigger, args)
  if video.values.is_cancel_requested then
    finish(queue, video, "acknowledge_cancel", { event = args.cancelled_event })
  elseif video.values.is_pause_requested then
    set_aside(queue, video, args.paused_event)
  else
    put_back(queue, video, trigger, args.queued_event)
  end
end

-- Counts a lost lease; too many in a row, with no slice finished between them, end the video.
local function lose(queue, video, trigger, args)
  local num_lost = add(video, "lost_leases", 1)
  local is_cancelled = video.values.is_cancel_requested
  if num_lost >= tonumber(args.max_lost_leases) and not is_cancelled then
    finish(queue, video, "abandon", { event = args.failed_event, outcome = args.failed_outcome })
  else
    give_back(queue, video, trigger, args)
  end
end

register("expire_leases", function(queue, args)
  shorten_leases(queue)
  local expired = redis.call("ZRANGE", leases_key(queue), "-inf", clock_micros(), "BYSCORE",
    "LIMIT", 0, LEASES_EXPIRED_AT_ONCE)
  for _, id in ipairs(expired) do
    local video = video_record(queue, id)
    append_event(queue, video, args.notice_event)
    lose(queue, video, "lose_lease", args)
  end
  return #expired
end)
