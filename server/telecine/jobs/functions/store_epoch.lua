-- What a store knows of its own restarts, so that one that lost its newest writes is found out.
-- A run is one life of the server process. Whoever may write names the run that it knows, and
-- takes a tick: the clock in microseconds, but always later than the one before.
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

-- The next tick: later than every one before, in this run and in those before it.
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

local function write_records()
  for _, record in pairs(records) do
    write_record(record)
  end
end

-- Ends a batch that may have written: answers how far its caller has now seen the store.
local function end_writes(queue, answer)
  put(record_at(queue), "tick", next_tick())
  write_records()
  return { whole(tick), answer }
end
