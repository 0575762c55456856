-- Which slice comes next: of which waiting video when a worker claims, and whether of the same
-- video when a worker has finished one.

-- The pools that a worker can serve, by name, each with whether its model is loaded.
local function served_pools(queue, args)
  local names, is_loaded = {}, {}
  local most = tonumber(args.memory_bytes)
  local pools = redis.call("ZRANGE", pools_key(queue), "-inf",
    most == 0 and "+inf" or most / GIB, "BYSCORE")
  for _, pool in ipairs(pools) do
    local model = "," .. string.match(pool, "^(.*):%d+$") .. ","
    if string.find("," .. args.models .. ",", model, 1, true) then
      names[#names + 1] = pool
      is_loaded[pool] = args.loaded_models == ""
        or string.find("," .. args.loaded_models .. ",", model, 1, true) ~= nil
    end
  end
  return names, is_loaded
end

-- REALTIME starts early by one slice, so it is served at once while within its share.
local function warp(queue, flow, video, step_index, slice_steps)
  if not is_realtime(flow) then
    return 0
  end
  return slice_cost(queue, video, step_index, slice_steps) / number(video, "weight")
end

-- The first of a pool's heads, by how far its start tag is from the pool's virtual time; a
-- switch to a model that is not loaded must be worth it.
local function first_head(queue, pool, is_of_realtime, is_loaded, args)
  local key = heads_key(queue, pool, is_of_realtime)
  local first = redis.call("ZRANGE", key, 0, 0, "WITHSCORES")
  if not first[1] then
    return nil
  end
  local flow = flow_record(queue, flow_of_head(first[1]))
  local id = redis.call("ZRANGE", waiting_key(queue, flow.values.flow, pool), 0, 0)[1]
  local video = video_record(queue, id)
  local step_index = number(video, "checkpoint_step")
  local lead = tonumber(first[2]) - virtual_time(queue, pool)
    - warp(queue, flow, video, step_index, tonumber(args.slice_steps))
  local switch = is_loaded and 0 or tonumber(args.quantum_seconds) / number(flow, "weight")
  return { name = first[1], video = video, rank = lead + switch, is_realtime = is_of_realtime }
end

-- What a worker can serve: its pools, and the first heads that wait there.
local function view_of(queue, args)
  local pools, is_loaded = served_pools(queue, args)
  local heads = {}
  for _, pool in ipairs(pools) do
    heads[#heads + 1] = first_head(queue, pool, true, is_loaded[pool], args)
    heads[#heads + 1] = first_head(queue, pool, false, is_loaded[pool], args)
  end
  return { pools = pools, heads = heads }
end

local function goes_before(head, other)
  return head.rank < other.rank or (head.rank == other.rank and head.name < other.name)
end

-- The head that is next; nil where none waits.
local function next_head(view)
  local best
  for _, head in ipairs(view.heads) do
    if not best or goes_before(head, best) then
      best = head
    end
  end
  return best
end

-- Charges the slice that a worker begins at `step_index`, and moves virtual time on to its rank;
-- but never past that of a head that waits, for what comes later must not start before it.
local function begin_slice(queue, video, step_index, view, rank, args)
  for _, head in ipairs(view.heads) do
    rank = math.min(rank, head.rank)
  end
  charge_slice(queue, video, view.pools,
    slice_cost(queue, video, step_index, tonumber(args.slice_steps)))
  put(video, "slice_start", step_index)
  advance(queue, view.pools, rank)
end

-- Whether a video that waits, and that this worker could make, is due before the running one.
local function is_overtaken(view, running, args)
  for _, head in ipairs(view.heads) do
    local is_urgent = head.is_realtime and not running.is_realtime
    local quantum = is_urgent and 0 or tonumber(args.quantum_seconds) / running.weight
    if head.rank + quantum < running.lead then
      return true
    end
  end
  return false
end

-- After a slice: YIELD, or CONTINUE with the next slice charged.
local function go_on_or_yield(queue, video, step_index, args)
  if steps_left(video, step_index) == 0 then
    return "CONTINUE" -- what is left is decoded at once
  end
  local flow, pool = flow_of(queue, video), video.values.pool
  local lead = start_tag(queue, flow, pool) - virtual_time(queue, pool)
    - warp(queue, flow, video, step_index, tonumber(args.slice_steps))
  local running = { lead = lead, weight = number(video, "weight"), is_realtime = is_realtime(flow) }
  local view = view_of(queue, args)
  if args.can_yield == "1" and is_overtaken(view, running, args) then
    return "YIELD"
  end
  begin_slice(queue, video, step_index, view, lead, args)
  return "CONTINUE"
end

-- The share of a slice that was done for the first time: what a lost checkpoint made a worker
-- do again is charged to nobody.
local function fresh_share(video, step_index)
  local start = number(video, "slice_start")
  local num_steps = step_index - start
  if num_steps <= 0 then
    return 0
  end
  local fresh = step_index - math.max(start, number(video, "charged_step"))
  return math.max(0, fresh) / num_steps
end
