-- What workers call. All but claim and expire_leases check the fencing token before they write.

local CHECKPOINTS_KEPT = 3
local LEASES_EXPIRED_AT_ONCE = 100
local WAITING_TOLD_AT_ONCE = 100

local function leases_key(queue)
  return queue .. ":leases"
end

local function extend_lease(queue, args)
  local lease_micros = tonumber(args.lease_seconds) * MICROS
  redis.call("ZADD", leases_key(queue), clock_micros() + lease_micros, args.video)
end

local function refuse_stale(args)
  refuse("LEASE_LOST", args.video .. " is no longer held with token " .. args.token)
end

-- Refuses the call unless its token is the one that the video is held with.
local function check_token(queue, args)
  local record = read(queue, args.video, "state", "token")
  if record.state ~= "RUNNING" or record.token ~= args.token then
    refuse_stale(args)
  end
end

local function directive(queue, id)
  return tonumber(read(queue, id, "is_cancel_requested").is_cancel_requested or 0)
end

-- A function that writes for the holder of a lease, extends the lease, and answers whether
-- the video is to be cancelled.
local function register_held(name, body)
  register(name, function(queue, args)
    check_token(queue, args)
    body(queue, args)
    extend_lease(queue, args)
    return directive(queue, args.video)
  end)
end

-- Takes a running video from its worker. The next tag of its flow depends on what it used.
local function release(queue, id, trigger, steps_kept)
  leave_stage(queue, id, clock_micros())
  refund(queue, id, steps_kept)
  redis.call("ZREM", leases_key(queue), id)
  redis.call("HDEL", video_key(queue, id), "token", "worker_id")
  return move(queue, id, "RUNNING", trigger)
end

local function finish(queue, id, trigger, ending)
  local record = read(queue, id, "step_index", "num_inference_steps")
  local steps_used = record.num_inference_steps
  if trigger == "acknowledge_cancel" then
    steps_used = record.step_index
  end
  release(queue, id, trigger, tonumber(steps_used))
  redis.call("HSET", video_key(queue, id),
    "end_time", clock_micros(), "outcome", ending.outcome or "")
  redis.call("HDEL", video_key(queue, id), "checkpoints", "checkpoint_step")
  append_event(queue, id, ending.event)
  forget_past_when_idle(queue)
end

local function put_back(queue, id, trigger, queued_event)
  local steps_kept = tonumber(read(queue, id, "checkpoint_step").checkpoint_step or 0)
  release(queue, id, trigger, steps_kept)
  redis.call("HSET", video_key(queue, id), "step_index", steps_kept)
  enqueue(queue, id)
  append_event(queue, id, queued_event, queue_position(queue, id))
end

-- A function that ends a lease. A repeat of the call that ended it, whose answer was lost,
-- changes nothing and gets the same answer.
local function register_ending(name, body)
  register(name, function(queue, args)
    local call = name .. " " .. args.token
    if read(queue, args.video, "last_ending").last_ending ~= call then
      check_token(queue, args)
      body(queue, args)
      redis.call("HSET", video_key(queue, args.video), "last_ending", call)
    end
    return snapshot(queue, args.video)
  end)
end

-- Tokens rise, and never fall behind the clock: a store that lost its newest writes does not
-- hand out a token that a worker still holds.
local function next_token(queue)
  local token = math.max(clock_micros(), queue_number(queue, "last_token") + 1)
  redis.call("HSET", queue, "last_token", token)
  return token
end

register("claim", function(queue, args)
  local flow, start = next_flow(queue, args.models)
  if not flow then
    return false
  end
  local id = dispatch(queue, flow, start)
  local key = video_key(queue, id)
  move(queue, id, "QUEUED", "claim")
  redis.call("HSET", key, "token", next_token(queue), "worker_id", args.worker_id)
  redis.call("HSETNX", key, "start_time", clock_micros())
  redis.call("HINCRBY", key, "attempt", 1)
  extend_lease(queue, { video = id, lease_seconds = args.lease_seconds })
  append_event(queue, id, args.running_event)
  return snapshot(queue, id)
end)

register_held("heartbeat", function() end)

register_held("notify", function(queue, args)
  append_event(queue, args.video, args.event)
end)

register_held("announce_fragment", function(queue, args)
  append_event(queue, args.video, args.event)
end)

register_held("enter_stage", function(queue, args)
  local id = args.video
  local record = read(queue, id, "stage", "stages")
  if record.stage == args.stage then
    return
  end
  leave_stage(queue, id, clock_micros())
  local stages = record.stages or ""
  if not string.find("," .. stages .. ",", "," .. args.stage .. ",", 1, true) then
    stages = (stages == "" and "" or stages .. ",") .. args.stage
  end
  redis.call("HSET", video_key(queue, id),
    "stage", args.stage, "stage_time", clock_micros(), "stages", stages)
  append_event(queue, id, args.event)
end)

-- A repeat of the newest step, whose answer was lost, is not logged again.
register_held("finish_step", function(queue, args)
  if read(queue, args.video, "step_index").step_index == args.step_index then
    return
  end
  redis.call("HSET", video_key(queue, args.video), "step_index", args.step_index)
  append_event(queue, args.video, args.event)
  if args.preview_event ~= "" then
    append_event(queue, args.video, args.preview_event)
  end
end)

-- `checkpoint` is one line; the newest three are kept, newest first.
register_held("commit_checkpoint", function(queue, args)
  local kept = { args.checkpoint }
  local older = read(queue, args.video, "checkpoints").checkpoints or ""
  for checkpoint in string.gmatch(older, "[^\n]+") do
    if checkpoint ~= args.checkpoint and #kept < CHECKPOINTS_KEPT then
      table.insert(kept, checkpoint)
    end
  end
  redis.call("HSET", video_key(queue, args.video),
    "checkpoints", table.concat(kept, "\n"), "checkpoint_step", args.step_index)
end)

register_ending("complete", function(queue, args)
  for i = 1, tonumber(args.num_artifacts) do
    append_event(queue, args.video, args["artifact_event_" .. i])
  end
  finish(queue, args.video, "complete", args)
end)

register_ending("fail", function(queue, args)
  finish(queue, args.video, "fail", args)
end)

register_ending("acknowledge_cancel", function(queue, args)
  finish(queue, args.video, "acknowledge_cancel", args)
end)

register_ending("requeue", function(queue, args)
  if directive(queue, args.video) == 1 then
    finish(queue, args.video, "acknowledge_cancel", { event = args.cancelled_event })
  else
    append_event(queue, args.video, args.notice_event)
    put_back(queue, args.video, "requeue", args.queued_event)
  end
end)

-- Ends one lost lease: the video waits again, unless it was to be cancelled or has lost too many.
local function lose_lease(queue, id, args)
  local lost = redis.call("HINCRBY", video_key(queue, id), "lost_leases", 1)
  append_event(queue, id, args.notice_event)
  if directive(queue, id) == 1 then
    finish(queue, id, "acknowledge_cancel", { event = args.cancelled_event })
  elseif lost >= tonumber(args.max_lost_leases) then
    finish(queue, id, "abandon", { event = args.failed_event, outcome = args.failed_outcome })
  else
    put_back(queue, id, "lose_lease", args.queued_event)
  end
end

-- Tells the videos that wait for a model why they wait, each once; none while a worker has
-- the model ready.
register("notify_waiting", function(queue, args)
  if redis.call("EXISTS", queue .. ":model_alive:" .. args.model) == 1 then
    return 0
  end
  local told = 0
  local flows = redis.call("ZRANGE", heads_key(queue, args.model), 0, FLOWS_COUNTED - 1)
  for _, flow in ipairs(flows) do
    local waiting = redis.call("ZRANGE", waiting_key(queue, flow), 0, WAITING_TOLD_AT_ONCE - 1)
    for _, id in ipairs(waiting) do
      local record = read(queue, id, "model", "waiting_notice")
      if record.model == args.model and record.waiting_notice ~= args.reason then
        redis.call("HSET", video_key(queue, id), "waiting_notice", args.reason)
        append_event(queue, id, args.event)
        told = told + 1
      end
    end
  end
  return told
end)

register("expire_leases", function(queue, args)
  local expired = redis.call("ZRANGE", leases_key(queue), "-inf", clock_micros(), "BYSCORE",
    "LIMIT", 0, LEASES_EXPIRED_AT_ONCE)
  for _, id in ipairs(expired) do
    lose_lease(queue, id, args)
  end
  return #expired
end)
