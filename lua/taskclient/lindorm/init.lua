-- The Lindorm LTS client and its jobs: five operations, of whose replies little
-- is published. What is KNOWN is used, the rest is kept as it came
-- (protocols L1 to L9). Every change goes out once.

local changes = require "taskclient.host.change"
local client_module = require "taskclient.client"
local clock = require "taskclient.rpc.clock"
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local form = require "taskclient.lindorm.form"
local job_module = require "taskclient.lindorm.job"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"

local M = {}

local SCHEMA = { states = "table" }
for name, types in each(client_module.SCHEMA) do SCHEMA[name] = types end

local ENVIRONMENT = { url = "TASKCLIENT_LINDORM_URL" }

---@class taskclient.Lindorm: taskclient.Client
local Client = {}

-- What keeps a text from being an id, by the core's rule; the server's own form is
-- not known, and any text goes out as one segment of a path.
local function id_complaint(client, id)
  local fine, why = pcall(client.check, client, "info", { id = id })
  return not fine and (tostring(why):match "^[^(]*%((.*)%)$" or why) or nil
end

-- A yes whose text nobody could ask for again.
local function unusable(client, call, why)
  return failure.new("protocol", "the reply's 'message' is no name of a task: " .. why,
    { outcome = "unknown", http_status = call:info().http_status,
      body = client:redact(call:body():sub(1, 200)) })
end

-- The part of an answer that may hold the task's name: whoever reads only a log needs it.
local function what_came(err)
  local body = err.body
  local page = not body or body == "" or body:find "^%s*<"
  return page and "" or "; what came of the answer: " .. body
end

-- The operation's arguments; a wrong spec raises at the caller's line.
local function args_of(spec)
  form.check(spec)
  local args, complaints = form.args(spec)
  if not args then options.raise("submit", table.concat(complaints, "; ")) end
  return args
end

local function create(client, args, opts) return request.send(client, "create", args, opts) end

--- Raises for a spec that cannot be submitted; sends nothing.
---@private
function Client:check_spec(spec)
  args_of(spec)
end

--- Starts a bulk load, once. An end that is not known cannot be looked up at this server:
--- err of kind `submit_unknown`, and nothing is sent again.
---@param spec taskclient.lindorm_spec
---@param opts table|nil deadline (monotonic); adopt and since have no meaning here
---@return userdata|nil job
---@return table|nil err with `outcome`
function Client:submit(spec, opts)
  options.method("submit", self, "client")
  local args = args_of(spec)
  options.check("submit", opts, { adopt = "boolean", since = "number", deadline = "number" })
  if core.fields(self).log then
    for _, complaint in ipairs(form.warnings(spec)) do
      self:trace("warn", { what = "doubtful", operation = "create", message = complaint })
    end
  end
  local created, moment = core.time(), clock.moment(self)
  local change = changes.begin(self, "submit")
  local call, id, err = changes.guard(change, create, self, args,
    { timeout = spec.timeout, deadline = opts and opts.deadline, change = change })
  if id then
    local sentence = id:find ":%s" or id:find "%s%S+%s"
    local why = sentence and "it reads like a sentence" or id_complaint(self, id)
    if not why then return job_module.new(self, id, created) end
    err = unusable(self, call, why)
  end
  if err.outcome ~= "unknown" then return nil, err end
  return nil, failure.new("submit_unknown",
    "whether the load was started is not known: " .. tostring(err.message) .. what_came(err),
    { operation = "create", outcome = "unknown", since = clock.told(self, moment) or created,
      cause = err, http_status = err.http_status, body = err.body, retryable = false })
end

--- Every complaint about a spec and the exact form that would be sent, without sending it.
---@param spec table
---@return string[] complaints empty: nothing to complain about
---@return string|nil body the form's text; nil when it cannot be made
function Client:validate(spec)
  options.argument("validate", "spec", spec, "table")
  return form.validate(self, spec)
end

local HANDLE = {
  service = "text", url = "text", id = "!text", key = "text", creator = "text",
  exec_id = "text", created = "number",
}

--- Makes the job of a procId or of a handle again, without a request. Raises for a handle of
--- another server (`url`).
---@param what string|table
---@return userdata job
function Client:attach(what)
  options.argument("attach", "id or handle", what, "text|table")
  local handle = type(what) == "table" and what or { id = what }
  options.check("attach", handle, HANDLE, "field")
  local id = handle.id
  if handle.service and handle.service ~= "lindorm" then
    options.raise("attach", ("a Lindorm procId or handle expected, got one of %q"):format(
      handle.service:sub(1, 60)))
  end
  local why = id_complaint(self, id)
  if why then options.raise("attach", why) end
  client_module.check_server(self, handle)
  return job_module.new(self, id, handle.created)
end

--- The states of many jobs; the server has no batch, so it is a request for each, many of them
--- side by side.
---@param jobs userdata[]
---@param opts table|nil deadline (monotonic)
---@return table|nil entries aligned: {state=, native=, stage=, progress=, info=, err=}
---@return table|nil err
function Client:states(jobs, opts)
  client_module.check_jobs("states", self, jobs)
  local entries = job_module.poll_all(jobs, opts)
  return entries
end

--- Stops many loads, one after the other.
---@param jobs userdata[]
---@return table results aligned, each as of job:abort(), or {err=}
function Client:abort(jobs)
  client_module.check_jobs("abort", self, jobs)
  local results = {}
  for i, job in ipairs(jobs) do
    local what, err = job:abort()
    results[i] = what or { err = err }
  end
  return results
end

--- The API has no list: err of kind `unsupported`.
---@return nil
---@return table err
function Client:list()
  return nil, failure.new("unsupported", "the bulk load API has no list of tasks",
    { operation = "list" })
end

--- The API has no keys: err of kind `unsupported`.
---@return nil
---@return table err
function Client:reconcile()
  return nil, failure.new("unsupported", "the bulk load API has no keys to look for",
    { operation = "reconcile" })
end

local client_class = client_module.class(Client)

local OURS = { queued = true, running = true, succeeded = true, failed = true, cancelled = true }

-- The caller's words, case-folded; each must mean one of our states.
local function extra_states(given)
  local states = {}
  for word, state in each(given or {}) do
    if type(word) ~= "string" or not OURS[state] then
      options.raise("lindorm", "option 'states': maps the server's words to queued, running, "
        .. "succeeded, failed or cancelled")
    end
    states[word:lower()] = state
  end
  return states
end

--- A client of a Lindorm LTS master. Sends nothing yet.
---@param given table|nil url, headers, cookies, user and password (basic auth), states, …
---@return userdata|nil client
---@return table|nil err
function M.new(given)
  local opts = client_module.settings("lindorm", given, SCHEMA, ENVIRONMENT)
  if type(opts.password) == "function" then opts.password = opts.password() end
  if (opts.user == nil) ~= (opts.password == nil) then
    options.raise("lindorm", "options 'user' and 'password' belong together")
  end
  local client, err = client_module.new("lindorm", "lindorm", opts, client_class,
    { user = opts.user, words = extra_states(opts.states) },
    { user = opts.user, password = opts.password, session = true })
  return client, err
end

return M
