-- watch.lua: keeps an eye on many jobs of many clients with few requests.
-- One round asks for all jobs of a client that are due; watches in other
-- coroutines share it. It knows clients and jobs by their public methods,
-- never the wire; a transient error never ends anything here.
local core = require "taskclient.core"
local each = require "taskclient.each"
local flights = require "taskclient.flight"
local hosts = require "taskclient.host"
local options = require "taskclient.options"
local protect = require "taskclient.protect"
local retry = require "taskclient.retry"

local M = {}

-- Delay between two looks at a job, in seconds (reliability 5, F38).
local POLL = {
  linkis = { first = 1, grow = 1.5, max = 10 },
  lindorm = { first = 1, grow = 2, max = 30 },
}
local POLL_WITH_LOG = 2     -- longest delay while log lines are wanted
local GONE_TIMES, GONE_SECONDS = 3, 60
local HOLDER_MAX = 120      -- a round that takes longer is no longer waited for
local GRACE = 0.5           -- the least time for a job's first look
local LOG_BURST = 50        -- log requests in one look
local LOG_TRIES = 5         -- for the lines of a job that has ended

M.PATIENCE = 60             -- a server may ask for more, with Retry-After, up to this
M.ended = require("taskclient.job").ENDED
local PERMANENT = { auth = true, closed = true, unsupported = true, memory = true }

-- Groups by client: { items = set, count =, flight = the last round }.
local groups = setmetatable({}, { __mode = "k" })
-- By job: { path = journal of its run, tell = fn(job, entry, changed) }, called at all that is
-- learned of the job.
M.observers = setmetatable({}, { __mode = "k" })

local Watch = {}
Watch.__index = Watch

--- True for an error after which asking again is pointless.
function M.permanent(err)
  return PERMANENT[err.kind] or (err.kind == "tls" and err.retryable == false) or false
end

---@param where string the public function's name
---@param opts table timeout, poll, on_progress, on_log, on_state, on_interrupt
function M.new(where, opts)
  local choice = opts.on_interrupt
  if type(choice) == "string" and choice ~= "leave" and choice ~= "abort" then
    options.raise(where, "option 'on_interrupt': 'leave', 'abort' or a function expected, got '"
      .. choice:sub(1, 60) .. "'")
  end
  local now, bar = core.now(), opts.on_progress
  return setmetatable({
    opts = opts, bar = type(bar) == "table" and bar.tick and bar,
    started = now, deadline = opts.timeout and now + opts.timeout,
    items = {}, open = 0, done = 0, fresh = 0, total = opts.total, queue = {}, head = 1, tail = 0,
  }, Watch)
end

local function group_of(client)
  local group = groups[client]
  if not group then
    group = { items = setmetatable({}, { __mode = "k" }), count = 0 }
    groups[client] = group
  end
  return group
end

--- Watches one more job; `tag` comes back with its end.
function Watch:add(job, tag)
  local client = job.client
  local item = {
    job = job, tag = tag, client = client, group = group_of(client), watch = self,
    host = hosts.current(client), observer = M.observers[job],
    since = core.now(), due = core.now(), attempt = 0, index = #self.items + 1,
  }
  self.items[item.index] = item
  item.group.items[item] = true
  self.open = self.open + 1
  return item
end

function Watch:remove(item)
  local items = self.items
  local last = items[#items]
  items[item.index], last.index = last, item.index
  items[#items] = nil
  item.group.items[item] = nil
  self.open = self.open - 1
  if item.fresh then item.fresh, self.fresh = nil, self.fresh - 1 end
end

-- `done` counts the end, unless `on_end` has its own idea of what is done.
function Watch:finish(item, state, native, err)
  self:remove(item)
  item.state, item.native, item.err = state, native, err
  if self.on_end then self.on_end(item) else self.done = self.done + 1 end
  self.tail = self.tail + 1
  self.queue[self.tail] = item
end

-- When to look again. Failing rounds spread out, so that clients which were
-- cut off together do not come back together.
local function delay(item, failed, jitter)
  local opts = item.watch.opts
  local poll = opts.poll
  item.attempt = item.attempt + 1
  if type(poll) == "number" then return poll end
  if poll then
    local seconds = protect.call(poll, item.attempt, core.now() - item.since)
    if type(seconds) == "number" and seconds >= 0 then return seconds end
    error("the function given as 'poll' must give seconds, not " .. tostring(seconds), 0)
  end
  local plan = POLL[item.client.service] or POLL.linkis
  local longest = opts.on_log and math.min(POLL_WITH_LOG, plan.max) or plan.max
  item.interval = math.min(longest, item.interval and item.interval * plan.grow or plan.first)
  return item.interval * (failed and 0.5 + jitter or 0.8 + 0.4 * jitter)
end

-- Whose round it is, is chance: what an item's own function raises is kept for
-- the item's own watch.
local function schedule(item, entry, jitter)
  local err, now = entry.err, core.now()
  local fine, wait = protect.try(delay, item, err ~= nil, jitter)
  if not fine then item.raised, wait = wait, 0 end
  wait = math.max(0.01, wait)
  if err and err.retry_after then
    wait = math.max(wait, math.min(err.retry_after, M.PATIENCE) * (1 + 0.2 * jitter))
  end
  item.due = now + wait
  item.fresh, item.watch.fresh = entry, item.watch.fresh + 1
end

local function due_items(group, now)
  local items, jobs = {}, {}
  group.count = 0
  for item in each(group.items) do
    group.count = group.count + 1
    if item.due - 0.5 * (item.interval or 0) <= now and not item.fresh then
      items[#items + 1] = item
      jobs[#jobs + 1] = item.job
    end
  end
  return items, jobs
end

local function look(group, client, deadline)
  local items, jobs = due_items(group, core.now())
  local entries, err = client:states(jobs, { deadline = deadline })
  local jitter = retry.random()
  for i, item in ipairs(items) do
    schedule(item, entries and entries[i] or { err = err }, jitter)
  end
end

local function round(group, client, deadline)
  group.flight = flights.new(client)
  flights.run(group.flight, look, group, client, deadline)
end

-- True while another coroutine is in the middle of a round for this client;
-- one that is no thread of its own, or resumed this one, cannot go on by itself.
local function busy(group)
  local flight = group.flight
  return flight and (flight.apart or flight.owner and flight.owner ~= coroutine.running()
    and coroutine.status(flight.owner) == "suspended") and not flights.lost(flight, HOLDER_MAX)
end

local function gone(item, err)
  item.gone = err.vanished and (item.gone or { since = core.now(), times = 0 }) or nil
  if not item.gone then return false end
  item.gone.times = item.gone.times + 1
  return item.gone.times >= GONE_TIMES and core.now() - item.gone.since >= GONE_SECONDS
end

-- Hands over the lines there are; at most a burst. True at the log's end.
local function pump_log(item)
  if item.log == nil then item.log = item.job:logs { follow = true } or false end
  if not item.log then return true end
  for _ = 1, LOG_BURST do
    local lines, err, notes = item.log:poll()
    if err then return false, err end
    if not lines then return true end
    for i, line in ipairs(lines) do
      protect.call(item.watch.opts.on_log, item.job, line, notes and notes[i])
    end
    if #lines == 0 then return false end
  end
  return false
end

local function drain_log(item)
  local failures = 0
  repeat
    local finished, err = pump_log(item)
    failures = err and failures + 1 or failures
    local hopeless = err and (failures >= LOG_TRIES or M.permanent(err))
    if finished or hopeless then return finished, err end
    item.host.sleep(err and 0.2 * 2 ^ failures or 0.2)
  until item.watch.deadline and core.now() > item.watch.deadline
end

local function progress(item, entry, err)
  local watch = item.watch
  if not watch.opts.on_progress then return end
  protect.call(watch.opts.on_progress, item.job, {
    fraction = entry.progress, state = entry.state, native = entry.native, err = err,
    elapsed = core.now() - item.since, done = watch.done, total = watch.total,
  })
end

local function tell(item, entry, changed)
  local opts = item.watch.opts
  if item.observer then item.observer.tell(item.job, entry, changed) end
  if changed and opts.on_state then
    protect.call(opts.on_state, item.job, entry.state, entry.native)
  end
  progress(item, entry)
end

-- Takes what a round has brought for this item.
local function take(item, entry)
  local watch = item.watch
  item.fresh, watch.fresh = nil, watch.fresh - 1
  if item.raised then error(item.raised, 0) end
  if entry.err then
    item.last_err = entry.err
    if M.permanent(entry.err) or gone(item, entry.err) then
      return watch:finish(item, nil, nil, entry.err)
    end
    -- no news is told too: a wait goes on through any outage, but not in silence
    return progress(item, { state = item.seen or "unknown", native = item.seen_native,
      progress = item.fraction }, entry.err)
  end
  item.gone, item.last_err = nil, nil
  local changed = entry.state ~= item.seen or entry.native ~= item.seen_native
  item.seen, item.seen_native, item.fraction = entry.state, entry.native, entry.progress
  local ended = M.ended[entry.state]
  local log_err = watch.opts.on_log and select(2, (ended and drain_log or pump_log)(item)) or nil
  if ended and entry.state ~= "succeeded" then
    local err, cause = item.job:error(entry.info)
    entry.failure = err or cause
  end
  if ended then watch:finish(item, entry.state, entry.native, entry.failure or log_err) end
  tell(item, entry, changed)
end

local function take_all(watch)
  if watch.fresh == 0 then return end
  for i = #watch.items, 1, -1 do
    local item = watch.items[i]
    if item.fresh then take(item, item.fresh) end
  end
end

local function earliest(watch)
  local first
  for _, item in ipairs(watch.items) do
    if not first or item.due < first.due then first = item end
  end
  return first
end

local function sleep(watch, host, seconds)
  local bar = watch.bar
  if bar then seconds = math.min(seconds, bar.interval) end
  host.sleep(seconds)
  if bar then bar:tick() end
end

-- One step nearer to news: a round for the job that is due first, or a sleep.
local function step(watch, limit)
  local item, now = earliest(watch), core.now()
  local group = item.group
  if busy(group) then
    -- the more jobs are watched, the longer a round takes and the more wait for it
    local patience = 0.05 + group.count * 1e-4
    sleep(watch, item.host, patience + 0.2 * (item.interval or 0) * retry.random())
  elseif item.due <= now then
    local grace = item.attempt == 0 and now + GRACE or 0
    round(group, item.client, watch.deadline and math.max(watch.deadline, grace))
  else
    sleep(watch, item.host, math.min(item.due, limit or item.due) - now)
  end
end

--- The next job that has ended: item with job, tag, state, native, err;
--- nil when nothing is watched or the monotonic time `limit` has come.
function Watch:next(limit)
  limit = math.min(limit or math.huge, self.deadline or math.huge)
  while true do
    take_all(self)
    local item = self.queue[self.head]
    if item then
      self.queue[self.head], self.head = nil, self.head + 1
      return item
    end
    local first, now = self.items[1], core.now()
    local tried = first and (first.attempt > 0 or busy(first.group) and now > first.since + GRACE)
    if not first or now >= limit and tried then return nil end
    step(self, limit)
  end
end

--- True when the deadline has come.
function Watch:late() return self.deadline ~= nil and core.now() >= self.deadline end

--- True while there is or will be an end to give.
function Watch:pending() return self.head <= self.tail or self.items[1] ~= nil end

--- Ends the line of a bar, if there is one, before something else is written.
function Watch:end_bar()
  if self.bar then self.bar:finish() end
end

--- Forgets all that is still watched (the jobs go on): their handles.
function Watch:leave()
  local handles = {}
  self:end_bar()
  for i = #self.items, 1, -1 do
    handles[i] = self.items[i].job:handle()
    self:remove(self.items[i])
  end
  return handles
end

return M
