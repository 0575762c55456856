-- What a store knows of its own restarts, so that one that lost its newest writes is found out.
-- A run is one life of the server process. Every call that may write names the run that its
-- caller knows, and takes a tick: the clock in microseconds, but always later than the one before.
-- A caller that comes from an earlier run says first, by `join_run`, what tick it saw last there.

local TICKS_OF_A_MILLISECOND = 1000

local server_run
local tick

-- The server's own name for this life of it; the functions are loaded anew in each.
local function current_run()
  if CLOCK_KEY then
    return redis.call("GET", CLOCK_KEY .. ":run") or "0"
  end
  if not server_run then
    server_run = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
  end
  return server_run
end

local numbers = {} -- of runs, by their names

-- A whole number below 2^bits, another one in each run.
local function number_of_run(bits)
  local run = current_run()
  numbers[run] = numbers[run] or tonumber(string.sub(redis.sha1hex(run), 1, 8), 16)
  return numbers[run] % 2 ^ bits
end

local function whole(number)
  return string.format("%.0f", number)
end

-- The call's next tick: later than every one before, in this run and in those before it.
local function next_tick()
  tick = tick + 1
  return tick
end

-- The id of the next event: it rises, and carries the run, so that none is given twice even
-- where the clock went back and the id's first owner was lost.
local function next_event_id()
  local now = next_tick()
  local millisecond = math.floor(now / TICKS_OF_A_MILLISECOND)
  local rest = now % TICKS_OF_A_MILLISECOND
  return whole(millisecond) .. "-" .. whole(number_of_run(20) * TICKS_OF_A_MILLISECOND + rest)
end

local function start_ticks(queue)
  tick = math.max(clock_micros(), number(record_at(queue), "tick"))
end

-- FCALL's arguments are names and values in turn.
local function named(args)
  local values = {}
  for i = 1, #args, 2 do
    values[args[i]] = args[i + 1]
  end
  return values
end

local function write_records()
  for _, record in pairs(records) do
    write_record(record)
  end
end

-- Ends a call that may have written: answers how far its caller has now seen the store.
local function end_writes(queue, answer)
  put(record_at(queue), "tick", next_tick())
  write_records()
  return { whole(tick), answer }
end

local function write_in_run(queue, args, body)
  local run = record_at(queue).values.run
  if run ~= current_run() or run ~= args.run then
    refuse("OTHER_RUN", current_run())
  end
  start_ticks(queue)
  return end_writes(queue, body(queue, args))
end

-- A function that cannot write takes no tick, and any run will do.
local function read_in_any_run(queue, args, body)
  return { "0", body(queue, args) }
end

local function register(name, body, flags)
  local is_reader = flags and flags[1] == "no-writes"
  local call = is_reader and read_in_any_run or write_in_run
  redis.register_function({
    function_name = LIBRARY .. "_" .. name,
    callback = function(keys, args)
      begin_call()
      return call(keys[1], named(args), body)
    end,
    flags = flags,
  })
end
