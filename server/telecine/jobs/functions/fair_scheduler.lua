-- Start-time fair queuing (Goyal, Vin, Cheng 1997) over flows, one a tenant and tier; what is
-- dispatched is the slice.
--
-- A pool is a model and a memory class. It has a virtual time v, and each flow a finish tag F
-- there. A flow's head waits with start tag F, which was raised to v when the flow began to
-- wait: only then, so that what a lost worker's flow gets back is not lost to it. A slice that a
-- worker runs is charged in all pools that the worker serves, and moves all their virtual times
-- on alike: their clocks may show different times, and only how far a tag is from its own clock
-- (its lead) is compared between pools.

local GIB = 1073741824

local function flow_key(queue, flow_name)
  return queue .. ":flow:" .. flow_name
end

local function flow_record(queue, flow_name)
  return record_at(flow_key(queue, flow_name))
end

local function flow_of(queue, video)
  video.flow = video.flow or flow_record(queue, video.values.flow)
  return video.flow
end

-- The videos of a flow that wait in a pool, by order of arrival.
local function waiting_key(queue, flow_name, pool)
  return queue .. ":waiting:" .. pool .. ":" .. flow_name
end

-- The flows whose heads wait in a pool, by start tag; those of realtime in a set of their own.
local function heads_key(queue, pool, is_realtime)
  return queue .. (is_realtime and ":realtime_heads:" or ":heads:") .. pool
end

-- Pools by memory class.
local function pools_key(queue)
  return queue .. ":pools"
end

local function virtual_time(queue, pool)
  return number(record_at(queue), "virtual_time:" .. pool)
end

local function is_realtime(flow)
  return flow.values.is_realtime == "1"
end

-- A head's name in the order: equal tags go by the age of the videos.
local function head_name(flow, sequence)
  return string.format("%015d %s", sequence, flow.values.flow)
end

local function flow_of_head(head)
  return string.sub(head, 17)
end

-- The start tag of the flow's next slice in a pool.
local function start_tag(queue, flow, pool)
  local finish = number(flow, "finish:" .. pool)
  if flow.values["head:" .. pool] then
    return finish
  end
  return math.max(virtual_time(queue, pool), finish)
end

-- Puts the video of that sequence at the flow's head; nil takes the flow out of the order.
-- Idle workers are woken when a flow that had no head gets one: none is idle while one waits that
-- it can make.
local function set_head(queue, flow, pool, sequence)
  local key = heads_key(queue, pool, is_realtime(flow))
  local old = flow.values["head:" .. pool]
  local head = sequence and head_name(flow, sequence)
  if old and old ~= head then
    redis.call("ZREM", key, old)
  end
  if head and old ~= head then
    local start = start_tag(queue, flow, pool)
    put(flow, "finish:" .. pool, start)
    redis.call("ZADD", key, flow.values["finish:" .. pool], head)
  end
  if head and not old then
    redis.call("XADD", queue .. ":wake", "MAXLEN", 1, "*", "pool", pool)
  end
  put(flow, "head:" .. pool, head)
end

-- Finds the flow's head in a pool anew; a tenant that runs as much as it may has none.
local function find_head(queue, flow, pool)
  local first = {}
  if not tenant_record(queue, flow.values.tenant).values.is_held then
    first = redis.call("ZRANGE", waiting_key(queue, flow.values.flow, pool), 0, 0, "WITHSCORES")
  end
  set_head(queue, flow, pool, first[2] and tonumber(first[2]))
end

-- Adds to what a flow has used, in all `pools`; a negative amount is given back.
local function charge(queue, video, pools, gpu_seconds)
  local flow = flow_of(queue, video)
  add(flow, "charged_seconds", gpu_seconds)
  local counters = record_at(queue)
  for _, pool in ipairs(pools) do
    local finish = add(flow, "finish:" .. pool, gpu_seconds / number(video, "weight"))
    local latest = "latest_finish:" .. pool
    put(counters, latest, math.max(number(counters, latest), finish))
    local head = flow.values["head:" .. pool]
    if head then
      local key = heads_key(queue, pool, is_realtime(flow))
      redis.call("ZADD", key, flow.values["finish:" .. pool], head)
    end
  end
end

local function pool_names(list)
  local names = {}
  for name in string.gmatch(list or "", "[^,]+") do
    names[#names + 1] = name
  end
  return names
end

-- Charges a flow for a slice that begins now. What is charged stays open until the slice ends:
-- `settle` closes it, and nothing else does.
local function charge_slice(queue, video, pools, gpu_seconds)
  local flow = flow_of(queue, video)
  for _, pool in ipairs(pools) do
    put(flow, "finish:" .. pool, start_tag(queue, flow, pool))
  end
  charge(queue, video, pools, gpu_seconds)
  put_all(video, { charged = gpu_seconds, pools = table.concat(pools, ",") })
end

-- Replaces what was charged for the slice by what it has really used, nothing where it broke
-- off: work that must be redone is charged to nobody.
local function settle(queue, video, gpu_seconds)
  local correction = gpu_seconds - number(video, "charged")
  if correction ~= 0 then
    charge(queue, video, pool_names(video.values.pools), correction)
  end
  drop(video, "charged")
end

-- Moves the virtual times of `pools` on by the same amount; never back.
local function advance(queue, pools, lead)
  for _, pool in ipairs(pools) do
    if lead > 0 then
      add(record_at(queue), "virtual_time:" .. pool, lead)
    end
  end
end

-- When nothing waits or runs, a busy period has ended: what came before it is forgotten.
local function forget_past_when_idle(queue)
  local counters = record_at(queue)
  if number(counters, "num_QUEUED") + number(counters, "num_RUNNING") > 0 then
    return
  end
  for name in pairs(counters.values) do
    local pool = string.match(name, "^latest_finish:(.+)$")
    if pool then
      local latest = math.max(virtual_time(queue, pool), number(counters, name))
      put(counters, "virtual_time:" .. pool, latest)
    end
  end
end

local function count_waiting(queue, video, change)
  local pool = video.values.pool
  local flow = flow_of(queue, video)
  local units = change * units_left(video, number(video, "checkpoint_step"))
  add(flow, "waiting_units:" .. pool, units)
  if add(flow, "num_waiting:" .. pool, change) == 0 then
    drop(flow, "num_waiting:" .. pool, "waiting_units:" .. pool)
  end
  local num_videos = add(flow, "num_waiting", change) + number(flow, "num_running")
  keep_while(flow, num_videos > 0)
end

local function count_running(queue, video, change)
  local flow = flow_of(queue, video)
  keep_while(flow, add(flow, "num_running", change) + number(flow, "num_waiting") > 0)
end

local function open_pool(queue, pool)
  local counters = record_at(queue)
  if not counters.values["virtual_time:" .. pool] then
    put(counters, "virtual_time:" .. pool, 0)
    redis.call("ZADD", pools_key(queue), string.match(pool, "%d+$"), pool)
  end
end

-- A flow that nothing used for a day was forgotten.
local function open_flow(queue, video)
  local flow, values = flow_of(queue, video), video.values
  if not flow.values.flow then
    put_all(flow, { flow = values.flow, tenant = values.tenant, weight = values.weight,
      is_realtime = values.is_realtime })
  end
  put(tenant_of(queue, video), "flow:" .. values.flow, "1")
  return flow
end

-- Puts a video into its flow; one that waited there before gets its old place again.
local function enqueue(queue, video)
  local pool, sequence = video.values.pool, number(video, "sequence")
  local flow = open_flow(queue, video)
  open_pool(queue, pool)
  redis.call("ZADD", waiting_key(queue, flow.values.flow, pool), sequence, video.values.video)
  count_waiting(queue, video, 1)
  local head = flow.values["head:" .. pool]
  local is_first = not head or head_name(flow, sequence) < head
  if is_first and not tenant_of(queue, video).values.is_held then
    set_head(queue, flow, pool, sequence)
  end
end

-- Takes a video out of its flow.
local function dequeue(queue, video)
  local pool = video.values.pool
  local flow = flow_of(queue, video)
  redis.call("ZREM", waiting_key(queue, flow.values.flow, pool), video.values.video)
  count_waiting(queue, video, -1)
  if flow.values["head:" .. pool] == head_name(flow, number(video, "sequence")) then
    find_head(queue, flow, pool)
  end
end
