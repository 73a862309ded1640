-- The Linkis client and its jobs: the constructor and the two method tables.
-- How each thing is done stands in linkis/.

local each = require "taskclient.compat".each
local abort = require "taskclient.linkis.abort"
local client_module = require "taskclient.client"
local core = require "taskclient.core"
local failure = require "taskclient.error"
local heartbeat = require "taskclient.linkis.heartbeat"
local history = require "taskclient.linkis.history"
local job_module = require "taskclient.job"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"
local auth = require "taskclient.linkis.auth"
local batch_status = require "taskclient.linkis.batch_status"
local version = require "taskclient.linkis.version"

-- What is used by its name below is loaded now: a process at its descriptor limit opens no file.
for _, name in ipairs { "list", "submit", "logs.cursor", "results", "results.export" } do
  require("taskclient.linkis." .. name)
end

local M = {}

local SCHEMA = {
  token = "text|function", token_login = "boolean", proxy_user = "text", proxy_code = "text",
  execute_user = "text", creator = "text", submit_timeout = "duration", version = "text",
}
for name, types in each(client_module.SCHEMA) do SCHEMA[name] = types end

local ENVIRONMENT = {
  url = "TASKCLIENT_LINKIS_URL", user = "TASKCLIENT_LINKIS_USER",
  password = "TASKCLIENT_LINKIS_PASSWORD", token = "TASKCLIENT_LINKIS_TOKEN",
}

local ERROR_LINES = 20

---@class taskclient.LinkisJob: taskclient.Job
---@field duplicates integer[]|nil ids of further tasks with the job's key, which go on: several
---  processes have submitted at one moment under a key that was given
local Job = {}

---@class taskclient.Linkis: taskclient.Client
local Client = {}

local function info(job, opts)
  local record, err = history.get(job.client, job.id, opts)
  if not record then return nil, err end
  heartbeat.note(job, job_module.remember(job, history.entry(record)))
  return record
end

--- The server's whole record of the task; printing it hides its parameters.
---@return table|nil record
---@return table|nil err
function Job:info()
  local record, err = info(self)
  return record, err
end

-- The objects of a list, and nothing else that may stand in it.
local function objects(list)
  local found = {}
  for _, object in ipairs(type(list) == "table" and list or {}) do
    if type(object) == "table" then found[#found + 1] = object end
  end
  return found
end

local function stages_of(list)
  local stages = {}
  for i, stage in ipairs(objects(list)) do
    stages[i] = {
      id = stage.id, total = stage.totalTasks, running = stage.runningTasks,
      failed = stage.failedTasks, succeeded = stage.succeedTasks,
    }
  end
  return stages
end

-- memory in bytes, the shares as fractions
local function resources_of(data)
  local metrics = type(data.yarnMetrics) == "table" and data.yarnMetrics
  if not metrics then return nil end
  local list = { cores_share = metrics.corePercent, memory_share = metrics.memoryPercent }
  for i, row in ipairs(objects(metrics.yarnResource)) do
    list[i] = {
      application = row.applicationId, state = row.jobStatus, queue = row.queue,
      memory = row.queueMemory, cores = row.queueCores, instances = row.queueInstances,
    }
  end
  return list
end

-- The entrance's own figures of a running task; an older server has no
-- resources, and any other failure leaves what history says.
local function live_progress(client, exec)
  local fields = core.fields(client)
  local operation = fields.no_resources and "progress" or "progressWithResource"
  local data, err = client:call(operation, { id = exec })
  if data or err.http_status ~= 404 or fields.no_resources then return data end
  fields.no_resources = true
  return live_progress(client, exec)
end

--- How far the task is: fraction, and while it runs stages and resources. `note`: the entrance
--- of a task that waits or runs is gone, so that nobody works at it; `job:abort()` ends it.
---@return table|nil progress {fraction=, state=, stages=, resources=, note=}
---@return table|nil err
function Job:progress()
  local entry = history.glance(self.client, self.id)
  if entry.err then return nil, entry.err end
  heartbeat.note(self, job_module.remember(self, entry))
  local progress = { fraction = entry.progress, state = entry.state, stages = {},
    note = entry.note }
  local exec = history.current(self, entry.stronger)
  if entry.state ~= "running" or not exec then return progress end
  local data = live_progress(self.client, exec)
  if data then
    progress.fraction = history.fraction(data.progress) or progress.fraction
    progress.stages, progress.resources = stages_of(data.progressInfo), resources_of(data)
  end
  return progress
end

--- Stops the task and says what really happened. One that goes on though history calls it
--- cancelled is killed again.
---@return table|nil what one of `killed`, `forced` (only the record was changed), `ended` (it had
---   ended before) is true; `state`; `confirmed`: job history and the entrance both say the end;
---   `entrance_gone`: nobody worked at it any more, and its record was all there was to end
---@return table|nil err
function Job:abort() return abort.one(self) end

local function spec_of(job)
  local known = core.fields(job).spec
  if known then return known end
  local cursor = job.client:list { id = job.id }
  local record, err = cursor:read()
  err = record and history.strange(record.taskID, job.id) or err
  if err or not record then return nil, err end
  local spec, why, hint = require("taskclient.linkis.spec").of_record(record)
  if spec then return spec end
  return nil, failure.new("unsupported", "the server's record does not tell the task: " .. why,
    { operation = "submit", job_id = job.id, hint = hint, outcome = "not_sent" })
end

--- Submits the same spec again, under a new key.
---@return userdata|nil job a new one
---@return table|nil err
function Job:retry()
  local spec, err = spec_of(self)
  if not spec then
    return nil, err or failure.new("service", "the server's list does not show this task",
      { operation = "submit", job_id = self.id })
  end
  local again = {}
  for name, value in each(spec) do again[name] = value end
  again.key, again.since = nil, nil
  return self.client:submit(again)
end

--- The server's pause is a stub that says yes and does nothing: err of kind
--- `unsupported`. `client:call("pause", {id = …})` sends it all the same.
---@return nil
---@return table err
function Job:pause()
  return job_module.unsupported(self, "pause", "a Linkis server says yes to pause and does "
    .. "nothing; the task goes on")
end

--- A Linkis task has no sub-jobs: err of kind `unsupported`; see `job:progress()`.
---@return nil
---@return table err
function Job:stages()
  return job_module.unsupported(self, "stages", "a Linkis task has no sub-jobs")
end

--- Linkis keeps its history: err of kind `unsupported`.
---@return nil
---@return table err
function Job:delete()
  return job_module.unsupported(self, "delete", "Linkis deletes no tasks")
end

local function keep_last(lines, line)
  if line ~= "" then lines[#lines + 1] = line end
  if #lines > ERROR_LINES then table.remove(lines, 1) end
end

-- The last ERROR lines: by the log cursor, for the file may be behind the end that history
-- tells; by the server's own choice where that gives none.
local function error_lines(job, record, deadline)
  local timeout = math.min(30, (deadline or math.huge) - core.now())
  local lines, cursor = {}, job:logs { level = "error", timeout = math.max(0, timeout) }
  local line = cursor:read()
  while line do -- no `for`: in a coroutine of Lua 5.1 its iterator cannot wait
    keep_last(lines, line)
    line = cursor:read()
  end
  local path = history.path(record.logPath)
  if #lines > 0 or not path then return lines end
  local data = job.client:call("openLog", { path = path }, { retry = false, deadline = deadline })
  local log = type(data) == "table" and data.log
  local text = type(log) == "table" and log[1]
  for found in tostring(text or ""):gmatch "[^\n]+" do keep_last(lines, found) end
  return lines
end

local function redacted(client, lines)
  for i, line in ipairs(lines) do lines[i] = client:redact(line) end
  return lines
end

-- A text up to where the server says by which of its services it came.
local function without_place(text)
  local at = text:find(",ip: ", 1, true)
  while at do
    if text:find("^,ip: [^,]* ,port: %d+ ,serviceKind: ", at) then
      return text:sub(1, at - 1):match "^.*%S" or ""
    end
    at = text:find(",ip: ", at + 1, true)
  end
  return text
end

-- The engine's own words, without what the server puts around each of them, and without what
-- the client keeps secret.
local function message_of(client, record, state)
  local text = history.text(record.errDesc)
  if text then
    text = text:gsub("^21304, Task is Failed,errorMsg:%s*", "")
    return client:redact((without_place(text):gsub("%f[%w]errCode: %d+ ,desc: ", "")))
  end
  return state == "cancelled" and "the task was cancelled" or "the task failed"
end

--- Why the task failed or was cancelled: kind `service`, with code, message and, when the
--- record is asked for here, `log`: the last ERROR lines.
---@param known table|nil the record, where the caller has it
---@param opts table|nil deadline (monotonic)
---@return table|nil err nil: it has not failed
---@return table|nil cause why that is not known
function Job:error(known, opts)
  if known ~= nil then options.argument("error", "info", known, "table") end
  options.check("error", opts, { deadline = "number" })
  local record, cause = known
  if not record then
    record, cause = info(self, opts)
    if not record then return nil, cause end
  end
  local state = history.state(record.status)
  if state ~= "failed" and state ~= "cancelled" then return nil end
  return failure.new("service", message_of(self.client, record, state), {
    code = history.code(record), job_id = self.id, retryable = record.canRetry == true,
    log = not known
      and redacted(self.client, error_lines(self, record, opts and opts.deadline)) or nil,
  })
end

--- A cursor over the log's lines, for a generic `for` or by `cursor:read()`.
---@param opts table|nil follow: go on until the job has ended, and give over the whole exactly
---  the file's lines, each as often as the file has it; exact: only lines that are in the file,
---  in its order; level: "error", "warn", "info" or a list of them; from: a saved cursor, or the
---  number of the first line wanted; timeout: seconds; poll: longest pause between two looks
---@return taskclient.LogCursor
function Job:logs(opts) return require("taskclient.linkis.logs.cursor").open(self, opts) end

--- The result sets of a job that has ended, in order; an empty list where there are none.
---@return taskclient.ResultSet[]|nil list
---@return table|nil err
function Job:results() return require("taskclient.linkis.results").list(self) end

--- All table results as the sheets of one XLSX file made by the server.
---@param path string
---@param opts table|nil limit (rows; default all), null, name, auto_format, masked, overwrite,
---  timeout, durable (the file is synced before it gets its name; default: in plain scripts)
---@return integer|nil bytes
---@return table|nil err
function Job:export(path, opts)
  return require("taskclient.linkis.results.export").job(self, path, opts)
end

--- Raises for a spec that cannot be submitted; sends nothing.
---@private
function Client:check_spec(spec)
  require("taskclient.linkis.submit").check(self, spec)
end

--- Submits a task, once: an end that is not known is looked up by its key.
---@param spec taskclient.linkis_spec
---@param opts table|nil adopt (default true: a task with the given `key` is taken over),
---  since (Unix seconds), deadline (monotonic)
---@return userdata|nil job
---@return table|nil err with `outcome`; kind `submit_unknown` carries `key` and `since`
function Client:submit(spec, opts)
  options.method("submit", self, "client")
  local job, err = require("taskclient.linkis.submit").submit(self, spec, opts)
  if job then heartbeat.note(job) end
  return job, err
end

--- One more look for the task of a submit with `wait = false`.
---@private
---@param err table what the submit gave
---@return userdata|nil job
---@return table|nil err its end stays unknown; nil without a job: look again
---@return number|nil at when (monotonic)
function Client:look_again(err)
  local job, final, at = require("taskclient.linkis.submit").look_again(self, err)
  if job then heartbeat.note(job) end
  return job, final, at
end

--- Finds the task that carries a key, for a submit whose end was not known.
---@param key string
---@param since number|nil Unix seconds (default: a day ago)
---@param opts table|nil deadline (monotonic)
---@return userdata|nil job nil without err: there is none so far
---@return table|nil err
function Client:reconcile(key, since, opts)
  options.argument("reconcile", "key", key, "text")
  if since ~= nil then options.argument("reconcile", "since", since, "number") end
  opts = options.check("reconcile", opts, { deadline = "number" })
  local job, err = require("taskclient.linkis.submit").reconcile(self, key, since, opts)
  if job then heartbeat.note(job) end
  return job, err
end

--- Asks for the server's time, once: by what needs no login.
---@private
---@param deadline number|nil monotonic
---@return nil
function Client:ask_time(deadline)
  local fields = core.fields(self)
  if fields.time_asked then return end
  fields.time_asked = true
  request.send(self, "publicKey", nil, { retry = false, timeout = 10, deadline = deadline })
end

--- The tasks whose keys begin with `prefix`, by one walk through the list.
---@param prefix string
---@param since number|nil Unix seconds (default: a day ago)
---@param opts table|nil deadline (monotonic)
---@return table<string, integer>|nil ids by key
---@return table|nil err kind `unsupported`: the server has no list
function Client:submitted(prefix, since, opts)
  options.argument("submitted", "prefix", prefix, "string")
  if since ~= nil then options.argument("submitted", "since", since, "number") end
  opts = options.check("submitted", opts, { deadline = "number" })
  return require("taskclient.linkis.submit").submitted(self, prefix, since, opts)
end

local HANDLE = {
  service = "text", url = "text", id = "!integer|text", key = "text", creator = "text",
  exec_id = "text", created = "number",
}

--- Makes the job of a task id or of a handle again, without a request. Raises for a handle of
--- another server (`url`) and for an id that this Lua cannot hold.
---@param what integer|string|table
---@return userdata job
function Client:attach(what)
  options.argument("attach", "id or handle", what, "integer|text|table")
  local handle = type(what) == "table" and what or { id = what }
  options.check("attach", handle, HANDLE, "field")
  local id = history.task_id(handle.id)
  if not id or handle.service and handle.service ~= "linkis" then
    local got = tostring(not id and handle.id or handle.service):sub(1, 60)
    local large = not id and got:find "^%d+$" and got ~= "0"
    options.raise("attach", ("a Linkis task id or handle expected, got %q%s"):format(got,
      large and ", which this Lua would round" or ""))
  end
  client_module.check_server(self, handle)
  local fields = core.fields(self)
  local job = core.job(self, fields.job_class, {
    id = id, client = self, key = handle.key, creator = handle.creator,
    exec_id = history.exec_id(handle.exec_id), created = handle.created, poller = history.look,
  })
  heartbeat.note(job)
  return job
end

--- The states of many jobs in as few requests as the server allows.
---@param jobs userdata[]
---@param opts table|nil deadline (monotonic)
---@return table|nil entries aligned: {state=, native=, progress=, info=, err=}
---@return table|nil err
function Client:states(jobs, opts)
  client_module.check_jobs("states", self, jobs)
  return batch_status.ask(self, jobs, opts)
end

--- Asks /status of those jobs whose creators want that, where it is due; waits call it.
---@private
---@param deadline number|nil monotonic
---@return number|nil seconds until it is to be called again; nil: no job needs it
function Client:keep_alive(deadline) return heartbeat.tend(self, deadline) end

--- Stops many tasks, one request for each entrance, each checked in history.
---@param jobs userdata[]
---@return table|nil results aligned, each as of job:abort(), or {err=}
---@return table|nil err
function Client:abort(jobs)
  client_module.check_jobs("abort", self, jobs)
  return abort.many(self, jobs)
end

--- The records of the server's job history, newest first, each once.
---@param opts table|nil state (one of the five words, or a list), native (the server's word),
---  creator, engine, since and before (Unix seconds), id, run_type, instance, engine_instance,
---  page_size; for administrators user and admin (all users)
---@return taskclient.History cursor for a generic `for`, or by `cursor:read()`
function Client:list(opts)
  local cursor = require("taskclient.linkis.list").list(self, opts)
  return cursor
end

--- Gives the session back to the server; the next call logs in again.
---@return boolean|nil ok
---@return table|nil err
function Client:logout() return auth.logout(self) end

--- Who the server says we are. A token is tried by a small read: the gateway
--- looks at none below /user, and the token's user is who one says.
---@return string|nil user
---@return table|nil err
function Client:whoami()
  local live = core.fields(self).session
  if live and live.mode == "token" then
    local _, data, err = request.send(self, "list", { pageSize = 1 })
    return data and live.user, err
  end
  local _, data, err = request.send(self, "userInfo")
  -- a session that has ended is a 400 here; heartbeat says 401, and is renewed
  if not data and live and err.kind == "service" and self:call "heartbeat" then
    _, data, err = request.send(self, "userInfo")
  end
  if not data then return nil, err end
  local name = history.text(data.userName)
  return name, not name and failure.new("protocol", "the reply names no user",
    { operation = "userInfo" }) or nil
end

local client_class = client_module.class(Client)
local job_class = job_module.class(Job)

local function credentials(where, given, opts)
  if given and (given.token or given.password or given.cookies) then
    if not given.token then opts.token = nil end
    if not given.password then opts.password = nil end
  elseif opts.password then
    opts.token = nil
  end
  if opts.token and opts.password then
    options.raise(where, "a token or a password, not both")
  end
  if (opts.token or opts.password) and not opts.user then
    options.raise(where, "option 'user' is missing beside the token or password")
  end
  for _, name in ipairs { "user", "token" } do -- they become headers
    if type(opts[name]) == "string" and opts[name]:find "%c" then
      options.raise(where, "option '" .. name
        .. "': no control characters (a newline at its end?)")
    end
  end
  if opts.proxy_user and not opts.password and not (opts.token and opts.token_login) then
    options.raise(where, "option 'proxy_user' needs a session: give a password, or token_login")
  end
end

--- A client of a Linkis gateway. Sends nothing yet.
---@param given table|nil url, user and password or token; see README for all
---@return userdata|nil client
---@return table|nil err
function M.new(given)
  local opts = client_module.settings("linkis", given, SCHEMA, ENVIRONMENT)
  credentials("linkis", given, opts)
  if opts.creator and opts.creator:find "[-%s%c]" then
    options.raise("linkis", "option 'creator': no '-' and no blanks")
  end
  local known = opts.version and version.fields(opts.version) or {}
  if opts.version and not next(known) then
    options.raise("linkis", "option 'version': a version such as '1.8.0' expected")
  end
  local live = auth.new(opts)
  local client, err = client_module.new("linkis", "linkis", opts, client_class, {
    user = opts.user, creator = opts.creator, execute_user = opts.execute_user,
    submit_timeout = opts.submit_timeout, session = live, job_class = job_class,
    poller = history.look,
  }, { session = live ~= nil and live.mode ~= "token" })
  if client and live and type(live.secret) ~= "function" then client:hide(live.secret) end
  for name, value in each(client and known or {}) do core.fields(client)[name] = value end
  return client, err
end

return M
