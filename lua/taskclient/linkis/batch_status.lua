-- States of many tasks in few requests: thirty ids at a time where the server
-- can do that, else the list by date, else one by one. What a server can do is
-- found out once and remembered (protocols 3.11.2, 6).

local copy = require "taskclient.compat".copy
local core = require "taskclient.core"
local failure = require "taskclient.error"
local heartbeat = require "taskclient.linkis.heartbeat"
local history = require "taskclient.linkis.history"
local job_module = require "taskclient.job"
local request = require "taskclient.rpc.request"

local M = {}

local BATCH = 30 -- the server's own limit
local PAGE = 100
local LISTED = 20000 -- rows of the list looked through; what they lack is asked for by itself
local SKEW = 900 -- seconds a server's clock may differ from ours

-- Whether an error says that the server lacks the operation; a service that is only
-- away for now (10050, 11011) says nothing about that.
local function lacking(err)
  return err.kind == "service" and not err.retryable or err.kind == "unsupported"
    or err.http_status == 404 or err.http_status == 405
end

local function ids_text(jobs)
  local ids = {}
  for i, job in ipairs(jobs) do ids[i] = history.id_text(job.id) end
  return table.concat(ids, ",")
end

local function by_id(tasks)
  local found = {}
  for _, task in ipairs(tasks) do
    local id = type(task) == "table" and history.task_id(task.taskID)
    if id then found[id] = task end
  end
  return found
end

-- What the list has of the jobs. It grants other rights than a look at one task does, and so an
-- id that is missing here may be there: it is asked for by itself.
local function put(entries, jobs, found)
  for _, job in ipairs(jobs) do
    local task = found[job.id]
    if task then entries[job] = history.entry(task, job.client) end
  end
end

-- One request for up to thirty jobs; nil, err when it failed.
local function ask_ids(client, jobs, entries, opts)
  local _, data, err = request.send(client, "list-taskids", { taskID = ids_text(jobs) }, opts)
  if not data then return nil, err end
  if type(data.jobHistoryList) ~= "table" then
    return nil, failure.new("service", "no list in the reply", { operation = "list-taskids" })
  end
  put(entries, jobs, by_id(data.jobHistoryList))
  return true
end

local function window(jobs)
  local first, last
  for _, job in ipairs(jobs) do
    local created = core.fields(job).created
    if not created then return nil end
    first, last = math.min(first or created, created), math.max(last or created, created)
  end
  return first - SKEW, last + SKEW
end

-- Pages through the list by date; rows of one second come in any order, so
-- what the pages have skipped is asked for one by one.
local function ask_list(client, jobs, entries, opts)
  local first, last = window(jobs)
  if not first then return false end
  local cursor = require("taskclient.linkis.list").open(client,
    { since = first, before = last, page_size = PAGE }, opts)
  local wanted = #jobs
  local want = {}
  for _, job in ipairs(jobs) do want[job.id] = job end
  for _ = 1, LISTED do
    if wanted == 0 then break end
    local task, err = cursor:read()
    if err then return nil, err end
    if not task then break end
    local job = want[history.task_id(task.taskID)]
    if job and not entries[job] then
      entries[job] = history.entry(task, client)
      wanted = wanted - 1
    end
  end
  return true
end

-- Those that have no entry yet. True where one was answered.
local function ask_each(jobs, entries, opts)
  local answered = false
  for _, job in ipairs(jobs) do
    if not entries[job] then
      entries[job] = history.look(job, opts)
      answered = answered or not entries[job].err
    end
  end
  return answered
end

local function slice(jobs, first)
  local part = {}
  for i = first, math.min(first + BATCH - 1, #jobs) do part[#part + 1] = jobs[i] end
  return part
end

-- Falls from the best way that works to the next one, and remembers it once it has worked: a
-- proxy that knows no address for a while says nothing of what the server can do. A failure
-- that says nothing about that is handed up.
local function ask(client, jobs, entries, opts)
  local fields, ok, err = core.fields(client), nil, nil
  if #jobs > 1 and (fields.batch or "ids") == "ids" then
    ok, err = ask_ids(client, jobs, entries, opts)
    if ok then fields.batch = "ids" end
    if err and not lacking(err) then return err end
  end
  if #jobs > 1 and not ok and fields.batch ~= "each" then
    ok, err = ask_list(client, jobs, entries, opts)
    if ok then fields.batch = fields.batch or "list" end
    if err and not lacking(err) then return err end
  end
  if ask_each(jobs, entries, opts) and err then fields.batch = fields.batch or "each" end
end

local function open_jobs(jobs)
  local open = {}
  for _, job in ipairs(jobs) do
    if not core.fields(job).ended then open[#open + 1] = job end
  end
  return open
end

-- An entry that no other place has: one err may stand for many jobs, one job stand twice.
local function own(entry, given)
  if given[entry] or given[entry.info or entry.err or 1] then return copy(entry) end
  given[entry], given[entry.info or entry.err or entry] = true, true
  return entry
end

--- The states of many jobs; see client:states.
---@param client userdata
---@param jobs userdata[]
---@param opts table|nil deadline
---@return table|nil entries aligned with `jobs`
---@return table|nil err nothing could be asked
function M.ask(client, jobs, opts)
  local open, entries, last_err = open_jobs(jobs), {}, nil
  for first = 1, #open, BATCH do
    local part = slice(open, first)
    local err = ask(client, part, entries, opts)
    last_err = err or last_err
    for _, job in ipairs(part) do entries[job] = entries[job] or { err = err } end
    if err and first == 1 then return nil, err end
  end
  for _, job in ipairs(open) do heartbeat.note(job, entries[job]) end
  heartbeat.tend(client, opts and opts.deadline)
  local aligned, given = {}, {}
  for i, job in ipairs(jobs) do
    aligned[i] = own(job_module.known_end(job) or job_module.remember(job, entries[job]), given)
  end
  return aligned
end

return M
