-- Jobs of some creators are killed by the server unless somebody asks /status of them every
-- 30 seconds; logs and job history do not count (protocols 3.1). Such a job is asked for as
-- long as it is held here and has not ended: by waits and log cursors between their steps
-- (`tend`), and beside whatever else waits for the server (`tick`). Of what /status answers
-- only an end is believed, and only as a reason to ask no more.

local core = require "taskclient.core"
local each = require "taskclient.compat".each
local history = require "taskclient.linkis.history"
local host = require "taskclient.host"
local driver = require "taskclient.host.driver"
local request = require "taskclient.rpc.request"
local ENDED = require "taskclient.state".ENDED

local M = {}

local CREATORS = { linkiscli = true, bdpclient = true }
local EVERY, EVERY_OF_MANY = 10, 18 -- seconds; the latter where more than MANY jobs are held
local MANY = 1000
local AGAIN = 2     -- seconds after a request that did not get through
local TOGETHER = 50 -- requests of a client on their way at a time
local LIMIT = 10    -- seconds a request may take
local TURN = 5      -- seconds one `tend` may take

-- By client: { queue, head, tail, flying, count, refused }. The queue holds the jobs weakly, in
-- the order in which they are due; `flying` the calls on their way, each with its job.
local hearts = setmetatable({}, { __mode = "k" })
local next_due = math.huge -- nothing is due before
local tick, beside -- what is done beside each wait once a job needs it

local function heart_of(client)
  local heart = hearts[client]
  if not heart then
    heart = { queue = setmetatable({}, { __mode = "v" }), head = 1, tail = 0,
      flying = {}, count = 0 }
    hearts[client] = heart
  end
  return heart
end

local function append(heart, job)
  heart.tail = heart.tail + 1
  heart.queue[heart.tail] = job
end

local function is_needed(creator)
  if creator == nil then return false end
  local needed = CREATORS[creator:lower()] or false
  history.spared[creator] = not needed or nil
  return needed
end

--- Takes note of a job that is held, and of what history has just said of it.
---@param job userdata
---@param entry table|nil `state`, and `creator` and `stronger`, or `info`
function M.note(job, entry)
  local fields, info = core.fields(job), entry and entry.info
  if entry and entry.err then return end
  local said = entry and (entry.creator or info and history.text(info.requestApplicationName))
  fields.creator = fields.creator or said
  local over = fields.ended or entry and ENDED[entry.state]
  if over or not is_needed(fields.creator) then
    fields.beat = nil
    return
  end
  if entry then
    fields.pulse = history.current(job, entry.stronger or info and info.strongerExecId)
  end
  if fields.beat then return end
  fields.beat = -math.huge -- who knows when it was last asked for
  local heart = heart_of(fields.client)
  heart.head = heart.head - 1
  heart.queue[heart.head], next_due = job, 0
  if not beside then
    beside = true
    driver.beside(tick)
  end
end

-- The first job in the queue, and when it is due; those that have ended or are not held any
-- more leave the queue.
local function first(heart)
  while heart.head <= heart.tail do
    local job = heart.queue[heart.head]
    local fields = job and core.fields(job)
    if fields and fields.beat and not fields.ended then
      local many = heart.tail - heart.head >= MANY
      return job, fields.beat + (many and EVERY_OF_MANY or EVERY)
    end
    if fields then fields.beat = nil end
    heart.queue[heart.head], heart.head = nil, heart.head + 1
  end
end

local function take(heart, job, now)
  heart.queue[heart.head], heart.head = nil, heart.head + 1
  core.fields(job).beat = now
end

-- Back into the queue: behind the others, or before them where the request did not get through.
local function put_back(heart, job, err)
  local fields = core.fields(job)
  if not fields.beat then return end
  if not err or err.kind == "service" or err.kind == "http" then return append(heart, job) end
  fields.beat = core.now() + AGAIN - EVERY
  heart.head = heart.head - 1
  heart.queue[heart.head] = job
end

-- Where no execID is known: gateways 1.5 to 1.8 take the task id in its place.
local function args_of(job)
  local fields = core.fields(job)
  local id = history.id_text(fields.id)
  return { id = fields.pulse or history.exec_id(fields.exec_id) or id, taskID = id }
end

-- Takes the answer of a request that has ended; another coroutine may still hold the call.
local function land(heart, call, job)
  local data, err = call:result()
  heart.flying[call], heart.count = nil, heart.count - 1
  if err and err.kind == "auth" then heart.refused = true end
  local over = type(data) == "table" and ENDED[history.state(data.status)]
  if over then
    core.fields(job).beat = nil -- history says the end; where it does not, the next look notes
  else
    put_back(heart, job, err)
  end
end

-- Whether requests can go out: after a login has ended, the next look makes it anew.
local function is_open(client)
  local live = core.fields(client).session
  return not live or live.live
end

-- Sends what is due, as far as there is room: the calls.
local function begin(client, heart, deadline)
  local calls, now = {}, core.now()
  local limit = math.max(0.5, math.min(LIMIT, (deadline or math.huge) - now))
  while heart.count < TOGETHER and is_open(client) do
    local job, due = first(heart)
    if not job or due > now then break end
    take(heart, job, now)
    local fine, call = pcall(client.start, client, "status", args_of(job), { timeout = limit })
    if fine and call then
      heart.flying[call], heart.count = job, heart.count + 1
      calls[#calls + 1] = call
    else
      append(heart, job)
    end
  end
  return calls
end

local function collect(heart)
  for call, job in each(heart.flying) do
    if call:done() then land(heart, call, job) end
  end
end

-- One request as any other, which logs in anew.
local function log_in(client, heart, deadline)
  local job = heart.refused and first(heart)
  heart.refused = nil
  if not job then return end
  take(heart, job, core.now())
  local _, _, err = request.send(client, "status", args_of(job),
    { retry = false, timeout = LIMIT, deadline = deadline })
  put_back(heart, job, err)
end

--- Asks for the jobs of a client that are due, and waits for the answers.
---@param client userdata
---@param deadline number|nil monotonic
---@return number|nil seconds until it must be called again; nil: no job needs it
function M.tend(client, deadline)
  local heart, began = hearts[client], core.now()
  if heart and client:closed() then heart, hearts[client] = nil, nil end
  if not heart then return nil end
  local calls
  repeat
    collect(heart)
    log_in(client, heart, deadline)
    calls = begin(client, heart, deadline)
    for _, call in ipairs(calls) do host.current(client).await(call) end
  until #calls == 0 or core.now() - began > TURN or deadline and core.now() >= deadline
  collect(heart)
  local job, due = first(heart)
  return job and math.max(0, due - core.now())
end

-- Beside a wait for the server, whatever it is for.
function tick()
  local now = core.now()
  if now < next_due then return end
  next_due = math.huge
  for client, heart in each(hearts) do
    if client:closed() then
      hearts[client] = nil
    else
      collect(heart)
      begin(client, heart)
      local _, due = first(heart)
      if heart.count > 0 then due = now end
      next_due = math.min(next_due, due or math.huge)
    end
  end
end

function history.attend(job, entry, deadline)
  M.note(job, entry)
  M.tend(job.client, deadline)
end

return M
