-- A submit spec, checked and written as the server's request body, in the form
-- of 1.x and of 0.x servers (protocols 3.1, 3.2). Sends nothing.

local core = require "taskclient.core"
local each = require "taskclient.compat".each
local options = require "taskclient.options"

local M = {}

-- Neither IDE, whose SQL is cut to 5000 rows, nor a heart-beat creator.
M.CREATOR = "taskclient"
local KEY_MEMBER = "taskclient.key"

local RESULT_PATH = "wds.linkis.resultSet.store.path"

M.SCHEMA = {
  code = "!text", run_type = "!text", engine = "!text", creator = "text", user = "text",
  variables = "table", startup = "table", runtime = "table", special = "table",
  source = "table", labels = "table", key = "text", result_path = "text",
  execute_user = "text", timeout = "duration", since = "number",
}

local LABELS = { engineType = "engine", userCreator = "creator", codeType = "run_type" }

-- What the server takes as an object; a list would go out as an array, which it cannot read.
-- Of `source` the names go out as text too.
local OBJECTS = { "variables", "startup", "runtime", "special", "labels" }

local function nameless(spec)
  for _, field in ipairs(OBJECTS) do
    for name in each(spec[field] or {}) do
      if type(name) ~= "string" then
        return ("field '%s': { name = value } expected, and %s is no name"):format(field,
          tostring(name))
      end
    end
  end
end

-- The server takes any text, and then cannot read the results there (protocols 3.12).
local function has_scheme(path) return path:match "^%a[%w+.-]*://" ~= nil end

local function complaint_of(spec)
  local creator = spec.creator
  if creator and creator:find "[-%s%c]" then
    return "field 'creator': no '-' and no blanks, the server splits at them"
  end
  if spec.code:match "^%s*$" then return "field 'code' is blank" end
  if spec.key and (#spec.key > 200 or spec.key:find "%c") then
    return "field 'key': at most 200 characters, no control characters"
  end
  if spec.result_path and not has_scheme(spec.result_path) then
    return "field 'result_path': a path with its scheme expected, as in 'hdfs:///...' or "
      .. "'file:///...'"
  end
  for name in each(spec.labels or {}) do
    if LABELS[name] then
      return ("field 'labels': for '%s' there is the field '%s'"):format(name, LABELS[name])
    end
  end
  return nameless(spec)
end

--- Refuses a wrong spec at the caller's line.
---@param spec table
---@return table spec
function M.check(spec)
  options.argument("submit", "spec", spec, "table")
  options.check("submit", spec, M.SCHEMA, "field")
  local complaint = complaint_of(spec)
  if complaint then options.raise("submit", complaint) end
  return spec
end

-- A field's values as texts. Anything else in source hangs a real server for six minutes, and
-- in variables it ends in a ClassCastException (20050).
local function texts_of(spec, field)
  local texts = {}
  for name, value in each(spec[field] or {}) do
    local text, why = value, nil
    if type(value) ~= "string" then
      text, why = core.encode(value, ("field '%s'.%s"):format(field, tostring(name)))
    end
    if not text then return nil, why end
    texts[tostring(name)] = text
  end
  return texts
end

-- What goes out as texts alone: source with the key in it, and variables.
local function texts_and_key(spec, key)
  local source, why = texts_of(spec, "source")
  if not source then return nil, nil, why end
  source[KEY_MEMBER] = key
  local variables
  variables, why = texts_of(spec, "variables")
  return source, variables, why
end

-- The key stands here too: an entrance that is stopped in good order wipes the source of what it
-- has queued, and these parameters stay. (Start-up parameters would do as well, but are part of
-- an engine's command line, and variables are put into the code.) The result folder is used by
-- the server as it is, so it must be the job's own.
local function runtime_of(spec, key)
  local runtime = {}
  for name, value in each(spec.runtime or {}) do runtime[name] = value end
  runtime[KEY_MEMBER] = key
  if not spec.result_path then return runtime end
  local name = key:match "^[%w._-]+$" and not key:match "^%.+$" and key or core.random(12)
  runtime[RESULT_PATH] = spec.result_path:gsub("/+$", "") .. "/" .. name
  return runtime
end

local function labels_of(spec, user)
  local labels = {}
  for name, value in each(spec.labels or {}) do labels[name] = value end
  labels.engineType = spec.engine
  labels.userCreator = user .. "-" .. spec.creator
  return labels
end

local function params_of(spec, key, variables)
  return {
    variable = variables,
    configuration = {
      startup = spec.startup or {}, runtime = runtime_of(spec, key), special = spec.special,
    },
  }
end

-- The JSON of a part of a body; what it lacks is remembered in `state`.
local function part(state, value, name)
  if value == nil then return "{}" end
  local text, why = core.encode(value, name)
  if not text then state.why = state.why or "field " .. why end
  return text or ""
end

--- The body for /entrance/submit; written by its frame, for many are made.
---@param spec table checked, with its creator
---@param key string
---@param user string
---@return string|nil text
---@return string|nil why a value that has no JSON form
function M.body(spec, key, user)
  local source, variables, why = texts_and_key(spec, key)
  if why then return nil, why end
  local state = {}
  local text = "{" .. (spec.execute_user
      and '"executeUser":' .. part(state, spec.execute_user, "execute_user") .. "," or "")
    .. '"executionContent":{"code":' .. part(state, spec.code, "code")
    .. ',"runType":' .. part(state, spec.run_type, "run_type")
    .. '},"labels":' .. part(state, labels_of(spec, user), "labels")
    .. ',"params":{"configuration":{"runtime":' .. part(state, runtime_of(spec, key), "runtime")
    .. (spec.special and ',"special":' .. part(state, spec.special, "special") or "")
    .. ',"startup":' .. part(state, spec.startup, "startup")
    .. '},"variable":' .. part(state, variables, "variables")
    .. '},"source":' .. part(state, source, "source") .. "}"
  return not state.why and text or nil, state.why
end

--- The body for /entrance/execute of servers that know no /submit.
---@param spec table
---@param key string
---@param user string
---@return string|nil text
---@return string|nil why
function M.old_body(spec, key, user)
  local source, variables, why = texts_and_key(spec, key)
  if why then return nil, why end
  return core.encode({
    executeApplicationName = spec.engine:match "^[^-]+", executionCode = spec.code,
    runType = spec.run_type, requestApplicationName = spec.creator,
    params = params_of(spec, key, variables), source = source, labels = labels_of(spec, user),
  }, "spec")
end

--- A key nobody else has.
---@return string
function M.fresh_key() return core.random(16) end

local function filled(value) return type(value) == "string" and value ~= "" and value or nil end

local function member(table_or_not, name)
  local value = type(table_or_not) == "table" and table_or_not[name]
  return type(value) == "table" and value or nil
end

local function decoded(text)
  return type(text) == "string" and core.decode(text) or nil
end

local function params_text(record) return filled(record.paramsJson) or record.paramJson end

local function runtime_of_record(record)
  return member(member(decoded(params_text(record)), "configuration"), "runtime")
end

-- The source a task was submitted with. A forced kill and an entrance restart
-- overwrite sourceJson with "null"; the copy among the parameters stays.
local function source_of_record(record)
  local source = decoded(record.sourceJson)
  if type(source) == "table" then return source end
  return member(runtime_of_record(record), "source")
end

local function names_key(text)
  return type(text) == "string" and text:find(KEY_MEMBER, 1, true) ~= nil
end

--- The key that a record carries, or nil.
---@param record table a task object of the server
---@return string|nil
function M.key_of(record)
  if not names_key(record.sourceJson) and not names_key(params_text(record)) then return nil end
  local source = source_of_record(record)
  local key = filled(source and source[KEY_MEMBER])
  local runtime = not key and runtime_of_record(record)
  return key or filled(runtime and runtime[KEY_MEMBER])
end

-- What the server adds to the parameters of a task.
local SERVER_MADE = {
  submitUser = true, executeUser = true, jobId = true, job = true, source = true,
  [RESULT_PATH] = true, [KEY_MEMBER] = true,
}

local function without(values, dropped)
  local kept = {}
  for name, value in each(values or {}) do
    if not dropped[name] then kept[name] = value end
  end
  return kept
end

-- The folder above the task's own, so that a new task gets one of its own too.
local function result_path_of(runtime, key)
  local path = runtime and runtime[RESULT_PATH]
  if type(path) ~= "string" or not has_scheme(path) then return nil end
  local above, name = path:match "^(.+)/([^/]+)$"
  return name and (name == key or #name == 24) and above or path
end

-- A code of 50,000 bytes or more is put into a file, and the record names the file in its place:
-- "hdfs:///tmp/…;0#61234", which would run as code.
local function is_stored(code)
  return code ~= nil and #code < 4096 and not code:find "[%s%c]"
    and code:find "^%a[%w+.-]*://.+;%d+#%d+$" ~= nil
end

--- The spec that a record of the job list tells, for submitting it anew.
---@param record table
---@return table|nil spec
---@return string|nil why what the record lacks
---@return string|nil hint what to do about it
function M.of_record(record)
  local code = filled(record.executionCode)
  if is_stored(code) then
    return nil, ("its code of %s bytes is kept in a file, %s"):format(code:match "%d+$", code),
      "read the code where it comes from, and submit it again with client:submit"
  end
  local labels = {}
  for _, label in ipairs(type(record.labels) == "table" and record.labels or {}) do
    local name, value = tostring(label):match "^([^:]+):(.*)$"
    if name then labels[name] = value end
  end
  local params = decoded(params_text(record))
  local configuration = member(params, "configuration")
  local runtime = member(configuration, "runtime")
  local spec = {
    code = code, run_type = filled(record.runType),
    engine = labels.engineType or filled(record.engineType),
    creator = filled(record.requestApplicationName),
    labels = without(labels, LABELS), variables = member(params, "variable"),
    startup = without(member(configuration, "startup"), SERVER_MADE),
    special = member(configuration, "special"), runtime = without(runtime, SERVER_MADE),
    result_path = result_path_of(runtime, M.key_of(record)),
    source = without(source_of_record(record), { [KEY_MEMBER] = true, requestIP = true }),
  }
  local complaint = options.complaint(spec, M.SCHEMA, "field") or complaint_of(spec)
  if complaint then return nil, complaint end
  return spec
end

return M
