-- What workers call. All but claim and notify_waiting check the fencing token before they write.

local CHECKPOINTS_KEPT = 3
local FLOWS_TOLD_AT_ONCE = 64
local WAITING_TOLD_AT_ONCE = 100

-- A function that ends a lease. A repeat of the call that ended it, whose answer was lost,
-- changes nothing and gets the same answer.
local function register_ending(name, body)
  register(name, function(queue, args)
    local call = name .. " " .. args.token
    local video = video_record(queue, args.video)
    if video.values.last_ending ~= call then
      body(queue, held_video(queue, args), args)
      put(video, "last_ending", call)
    end
    return snapshot(queue, video)
  end)
end

-- Tokens rise, and never fall behind the clock: a store that lost its newest writes does not
-- hand out a token that a worker still holds.
local function next_token(queue)
  local counters = record_at(queue)
  local token = math.max(clock_micros(), number(counters, "last_token") + 1)
  put(counters, "last_token", token)
  return token
end

-- The video that this very claim was answered with, while its lease stands.
local function find_claimed(queue, args)
  if args.claim_id == "" then
    return nil
  end
  local id = redis.call("HGET", claims_key(queue), args.claim_id)
  return id and video_record(queue, id)
end

local function hold(queue, video, step_index, args)
  move(queue, video, "claim")
  ignore_deadline(queue, video)
  put_all(video, {
    token = whole(next_token(queue)), worker_id = args.worker_id,
    start_time = video.values.start_time or clock_micros(),
    units_held = units_left(video, step_index),
  })
  add(video, "attempt", 1)
  add(record_at(queue), "running_units:" .. video.values.pool, number(video, "units_held"))
  count_running(queue, video, 1)
  if args.claim_id ~= "" then
    put(video, "claim_id", args.claim_id)
    redis.call("HSET", claims_key(queue), args.claim_id, video.values.video)
  end
  hold_if_full(queue, tenant_of(queue, video), tonumber(args.max_running_per_tenant))
end

local function claim_next(queue, args)
  local view = view_of(queue, args)
  local head = next_head(view)
  while head and is_overdue(head.video, clock_micros()) do
    expire(queue, head.video, args)
    view = view_of(queue, args)
    head = next_head(view)
  end
  if not head then
    return nil
  end
  local video, step_index = head.video, number(head.video, "checkpoint_step")
  put(record_at(queue), "slice_steps", args.slice_steps)
  begin_slice(queue, video, step_index, view, head.rank, args)
  dequeue(queue, video)
  hold(queue, video, step_index, args)
  append_event(queue, video, args.running_event)
  return video
end

register("claim", function(queue, args)
  local video = find_claimed(queue, args) or claim_next(queue, args)
  if not video then
    return false
  end
  extend_lease(queue, video.values.video, args.lease_seconds)
  return snapshot(queue, video)
end)

register_held("heartbeat", function() end)

-- A warning stays on the video, and is told once, whichever attempt comes upon it.
register_held("notify", function(queue, video, args)
  if args.warning ~= "" then
    local warnings = video.values.warnings or ""
    if string.find(warnings, args.warning, 1, true) then
      return
    end
    put(video, "warnings", warnings .. args.warning)
  end
  append_event(queue, video, args.event)
end)

register_held("announce_fragment", function(queue, video, args)
  append_event(queue, video, args.event)
end)

register_held("enter_stage", function(queue, video, args)
  if video.values.stage == args.stage then
    return
  end
  local now = clock_micros()
  leave_stage(video, now)
  local stages = video.values.stages or ""
  if not string.find("," .. stages .. ",", "," .. args.stage .. ",", 1, true) then
    put(video, "stages", (stages == "" and "" or stages .. ",") .. args.stage)
  end
  put_all(video, { stage = args.stage, stage_time = now })
  append_event(queue, video, args.event)
end)

-- A repeat of the newest step, whose answer was lost, is not logged again.
local function log_step(queue, video, args)
  if video.values.step_index == args.step_index then
    return
  end
  put(video, "step_index", args.step_index)
  append_event(queue, video, args.event)
  if args.preview_event ~= "" then
    append_event(queue, video, args.preview_event)
  end
end

register_held("finish_step", log_step)

-- `checkpoint` is one line; the newest three are kept, newest first.
local function keep_checkpoint(video, checkpoint, step_index)
  local kept = { checkpoint }
  for older in string.gmatch(video.values.checkpoints or "", "[^\n]+") do
    if older ~= checkpoint and #kept < CHECKPOINTS_KEPT then
      table.insert(kept, older)
    end
  end
  put_all(video, { checkpoints = table.concat(kept, "\n"), checkpoint_step = step_index })
end

-- For a checkpoint that was still being written when its slice ended.
register_held("commit_checkpoint", function(_, video, args)
  keep_checkpoint(video, args.checkpoint, args.step_index)
end)

local function account_slice(queue, video, args)
  local step_index, gpu_seconds = tonumber(args.step_index), tonumber(args.gpu_seconds)
  learn_rate(queue, video, tonumber(args.num_steps), gpu_seconds)
  settle(queue, video, gpu_seconds * fresh_share(video, step_index))
  local units = units_left(video, step_index)
  add(record_at(queue), "running_units:" .. video.values.pool, units - number(video, "units_held"))
  put_all(video, {
    units_held = units, slice_start = step_index, slice_end = args.step_index, lost_leases = 0,
    step_index = args.step_index,
    charged_step = math.max(number(video, "charged_step"), step_index),
  })
end

local function judge(queue, video, args)
  if video.values.is_cancel_requested then
    return "CANCEL"
  elseif video.values.is_pause_requested then
    return "PAUSE"
  end
  return go_on_or_yield(queue, video, tonumber(args.step_index), args)
end

-- A repeat, whose answer was lost, gets the same verdict and is not charged again.
register_held("finish_slice", function(queue, video, args)
  if video.values.slice_end == args.step_index then
    return video.values.verdict
  end
  if args.event ~= "" then
    log_step(queue, video, args)
  end
  account_slice(queue, video, args)
  if args.checkpoint ~= "" then
    keep_checkpoint(video, args.checkpoint, args.step_index)
  end
  put(video, "verdict", judge(queue, video, args))
  return video.values.verdict
end)

register_ending("complete", function(queue, video, args)
  for i = 1, tonumber(args.num_artifacts) do
    append_event(queue, video, args["artifact_event_" .. i])
  end
  finish(queue, video, "complete", args)
  count_stored(queue, video, tonumber(args.stored_bytes))
end)

register_ending("fail", function(queue, video, args)
  finish(queue, video, "fail", args)
end)

register_ending("acknowledge_cancel", function(queue, video, args)
  finish(queue, video, "acknowledge_cancel", args)
end)

-- A pause that was taken back meanwhile sends the video to the queue.
register_ending("acknowledge_pause", function(queue, video, args)
  give_back(queue, video, "requeue", args)
end)

register_ending("requeue", function(queue, video, args)
  append_event(queue, video, args.notice_event)
  if args.counts_as_loss == "1" then
    lose(queue, video, "requeue", args)
  else
    give_back(queue, video, "requeue", args)
  end
end)

-- Tells the videos that wait for a model why they wait, each once; none while a worker has
-- the model ready.
local function tell_waiting(queue, pool, flow_name, args)
  local told = 0
  local waiting = redis.call("ZRANGE", waiting_key(queue, flow_name, pool), 0,
    WAITING_TOLD_AT_ONCE - 1)
  for _, id in ipairs(waiting) do
    local video = video_record(queue, id)
    if video.values.waiting_notice ~= args.reason then
      put(video, "waiting_notice", args.reason)
      append_event(queue, video, args.event)
      told = told + 1
    end
  end
  return told
end

register("notify_waiting", function(queue, args)
  if redis.call("EXISTS", queue .. ":model_alive:" .. args.model) == 1 then
    return 0
  end
  local told = 0
  local pools = served_pools(queue, { models = args.model, loaded_models = "", memory_bytes = "0" })
  for _, pool in ipairs(pools) do
    for _, is_of_realtime in ipairs({ true, false }) do
      local heads = redis.call("ZRANGE", heads_key(queue, pool, is_of_realtime), 0,
        FLOWS_TOLD_AT_ONCE - 1)
      for _, head in ipairs(heads) do
        told = told + tell_waiting(queue, pool, flow_of_head(head), args)
      end
    end
  end
  return told
end)
