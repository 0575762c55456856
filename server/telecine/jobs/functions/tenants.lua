-- Limits of a tenant. One that runs as many videos as it may is held: its flows are out of the
-- order until one of them ends, and come back as flows that begin to wait.

-- Calls `visit` with each flow of a tenant and each pool that the flow waits in.
local function each_waiting(queue, tenant, visit)
  for name in pairs(tenant.values) do
    local flow_name = string.match(name, "^flow:(.+)$")
    local flow = flow_name and flow_record(queue, flow_name)
    local pools = {}
    for field in pairs(flow and flow.values or {}) do
      pools[#pools + 1] = string.match(field, "^num_waiting:(.+)$")
    end
    for _, pool in ipairs(pools) do
      visit(flow, pool)
    end
  end
end

local function hold_if_full(queue, tenant, max_running)
  if number(tenant, "num_RUNNING") < max_running then
    return
  end
  put(tenant, "is_held", 1)
  each_waiting(queue, tenant, function(flow, pool)
    set_head(queue, flow, pool, nil)
  end)
end

local function let_go(queue, tenant)
  if not tenant.values.is_held then
    return
  end
  drop(tenant, "is_held")
  each_waiting(queue, tenant, function(flow, pool)
    find_head(queue, flow, pool)
  end)
end

local function check_queue_limits(queue, args, num_videos)
  if number(record_at(queue), "num_QUEUED") + num_videos > tonumber(args.max_queued) then
    refuse("QUEUE_FULL", args.max_queued)
  end
  local tenant = tenant_record(queue, args.tenant)
  if number(tenant, "num_QUEUED") + num_videos > tonumber(args.max_queued_per_tenant) then
    refuse("TENANT_QUEUE_FULL", args.max_queued_per_tenant)
  end
end
