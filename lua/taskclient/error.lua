-- Error objects: their printed form, the codes of the server wherever they
-- hide, and for each code a hint that a user can act on. Knows texts; knows no
-- client.

local copy = require "taskclient.compat".copy
local core = require "taskclient.core"
local each = require "taskclient.compat".each

local M = {}

local mt = core.error_mt

-- code -> what to do; meanings from protocols 2.4, 4.3 and 4.4
local HINTS = {
  [1002] = "the code refers to something the engine does not know",
  [10050] = "that service of the server is not running or not registered yet; try again later",
  [11001] = "a parameter the server needs is empty",
  [11002] = "log in: give user and password, or token and user",
  [11003] = "the session is not known there; log in again",
  [11010] = "the server knows several services of that name; tell its administrator",
  [11011] = "the server has no instance for this yet, or the route label fits none; try again",
  [11012] = "no instance of the server fits the route label",
  [11055] = "the engine did not start in time; look for free resources in its queue",
  [12000] = "the job is in a state from which it cannot change that way; look at its state",
  [12001] = "the queue of this user, creator and engine is full; wait for jobs to end",
  [12011] = "the execution id is not one this server gave; use the task id",
  [15200] = "the server could not look the token up; try again later",
  [15201] = "the token has expired; ask for a new one",
  [15202] = "the token may not be used by this user; see option 'user'",
  [15203] = "the token may not be used from this host",
  [15204] = "the server does not know this token; see option 'token'",
  [15205] = "no token arrived; see options 'token' and 'user'",
  [15206] = "the server could not look the token up; try again later",
  [15207] = "the server does not know this token; see option 'token'",
  [18000] = "the server could not read the request; look for a proxy in between",
  [20005] = "the server saw no user; log in",
  [20006] = "an old server wants the engine's name; see field 'engine'",
  [20007] = "field 'code' is blank",
  [20008] = "field 'labels' is empty",
  [20009] = "fields 'engine' (as in 'spark-3.2.1') and 'run_type' are needed",
  [20010] = "field 'code' is missing",
  [20011] = "the server could not store the task: its job history is down or refused it",
  [20014] = "the server has forgotten the queue of this job; its task id still tells its state",
  [20018] = "this creator may not submit from this host",
  [20019] = "this creator may not submit from this host",
  [20039] = "the server could not analyse the task; see its message and field 'labels'",
  [20050] = "a variable in the code could not be replaced; see field 'variables'",
  [20052] = "the server could not store the task; ask its administrator",
  [20070] = "the server refused something in the Python code",
  [20075] = "the server could not make the log file; ask its administrator",
  [20503] = "the server tries the job again by itself; wait for its end",
  [21304] = "the job's log says more",
  [23333] = "the server could not stop the job; look at its state and try again",
  [30001] = "the entrance of the job failed over and cancelled it; submit it again",
  [30009] = "the server could not queue the job; try again later",
  [30010] = "after its comments and variables the code is empty",
  [31001] = "somebody stopped the job",
  [31002] = "the server has no engine of that name and version; see field 'engine'",
  [43003] = "the code has a syntax error",
  [50079] = "field 'creator' and the user must not contain '-'",
  [50080] = "the user of the label userCreator must be who submits; see option 'user'",
  [50081] = "the server's black list refuses a word of the code (rm, for, find, source, ...)",
  [50000] = "the server cannot read results of that kind",
  [51000] = "the result file is empty or cut",
  [52001] = "the result file is damaged: its columns cannot be read",
  [52002] = "the result has more columns than the server shows; save or export it",
  [52003] = "the result has more columns than the server shows; save or export it",
  [52004] = "there is no such page of columns",
  [54001] = "the server does not open files of that type",
  [60002] = "the Python code raised an error; the log has its traceback",
  [80003] = "your root folder is not there; ask the server's administrator",
  [80004] = "the path is empty",
  [80005] = "a folder of that name is there already",
  [80006] = "a file of that name is there already",
  [80007] = "the new name is in use already",
  [80008] = "what should be deleted is not there",
  [80009] = "you may not delete that",
  [80010] = "results lie outside of your own folder; set field 'result_path' to a folder of yours",
  [80011] = "the file is not there (any more)",
  [80012] = "you may not read that file",
  [80013] = "the file is not there (any more)",
  [80014] = "you may not write there",
  [80015] = "a spreadsheet is written as csv or xlsx",
  [80018] = "the log file cannot be read",
  [80024] = "only a table can be exported as a spreadsheet; save it as text",
  [80025] = "the path needs a scheme, as in hdfs:///... or file:///...",
  [80028] = "the path holds characters the server refuses",
  [80029] = "the folder has no results",
  [80030] = "your folder cannot be made; ask the server's administrator",
  [80031] = "the server knows no folder for this user; see option 'user'",
  [80032] = "the server does not open files over 30 MB; save or export the result",
  [80033] = "the log is over 30 MB; read it in pages while the server remembers the job",
  [80034] = "a smaller page_size is needed",
  [80036] = "a smaller number of columns per page is needed",
  [120001] = "the job had already ended",
  [520034] = "a row is longer than the server reads; export the result instead",
}
for code = 20071, 20074 do HINTS[code] = HINTS[20070] end

local KIND_HINTS = {
  auth = "see options 'user' and 'password', or 'token' of Linkis",
  submit_unknown = "whether the task exists is not known; look before submitting again",
}

-- what stands where the API should be
local function is_page(err, kind)
  local status = tonumber(rawget(err, "http_status")) or 0
  return kind == "protocol" and rawget(err, "shape") == "html"
    or kind == "http" and status >= 300 and status < 400
end

local function tls_hint(message)
  if message:find "wrong version number" then
    return "nothing speaks https there; is it http://?"
  end
  return "the certificate was not accepted; see options 'ca_file' and 'ca_path'"
end

--- What a user can do about an err, or nil.
---@param err table
---@return string|nil
function M.hint(err)
  local code, kind = tonumber(rawget(err, "code")), rawget(err, "kind")
  if kind == "tls" then return tls_hint(tostring(rawget(err, "message"))) end
  if kind == "http" and (err.http_status == 404 or err.http_status == 405) then
    return "no such address there: another server or version? see option 'url'"
  end
  if kind == "io" and tostring(err.message):find "exists" then
    return "overwrite = true replaces it"
  end
  if is_page(err, kind) then
    return "a login, or another server? see option 'url'; 'cookies' and 'headers' carry a session"
  end
  -- the server's code for whatever its job history finds wrong with a question, too
  if code == 21304 and rawget(err, "job_id") == nil then code = nil end
  return code and HINTS[code] or KIND_HINTS[kind]
end

mt.__index = function(err, name)
  if name == "hint" then return M.hint(err) end
end

local function details(err)
  local list = {}
  if err.code ~= nil then list[#list + 1] = "code " .. tostring(err.code) end
  if err.http_status and err.http_status ~= 0 and err.http_status ~= 200 then
    list[#list + 1] = "HTTP " .. tostring(err.http_status)
  end
  if err.job_id ~= nil then list[#list + 1] = "job " .. tostring(err.job_id) end
  if err.key ~= nil then list[#list + 1] = "key " .. tostring(err.key) end
  if err.outcome ~= nil then list[#list + 1] = "outcome " .. tostring(err.outcome) end
  return #list > 0 and " (" .. table.concat(list, ", ") .. ")" or ""
end

local PRINTED = 65536 -- bytes of a message that are printed; the field holds all

-- What a server says may hold commands for a terminal: printed it is clean, whoever prints it.
mt.__tostring = function(err)
  local message, operation = tostring(err.message):sub(1, PRINTED), tostring(err.operation)
  local text = tostring(err.kind or "error") .. ": "
  -- the core's messages name their operation already
  local named = not err.operation or message:sub(1, #operation + 1) == operation .. ":"
  if not named then text = text .. operation .. ": " end
  text = text .. message .. details(err)
  local hint = err.hint
  return (core.clean(hint and text .. "; " .. hint or text))
end

--- Makes an err.
---@param kind string one of design.md's kinds
---@param message string
---@param fields table|nil further fields, taken over as they are
---@return table err
function M.new(kind, message, fields)
  local err = {}
  for name, value in each(fields or {}) do err[name] = value end
  err.kind, err.message = kind, message
  return setmetatable(err, mt)
end

--- An err of one's own, with its causes, for a caller who may write into it.
---@param err table
---@return table err
function M.copy(err) return copy(err) end

--- Whether a value is an err of ours.
---@param value any
---@return boolean
function M.is(value) return type(value) == "table" and getmetatable(value) == mt end

-- The innermost code is the cause: it stands last. Both look from one mark to the next, so that
-- a long text costs no more than its length.
local function last_code(text)
  local found
  for at in text:gmatch "errCode[:=]()" do found = text:match("^%s*(%d+)", at) or found end
  return found
end

-- "error code(…): 50081"
local function worded_code(text)
  local at = text:find("error code", 1, true)
  while at do
    local colon = text:find(":", at, true)
    local digits = colon and text:match("^%s*(%d+)", colon + 1)
    if digits or not colon then return digits end
    at = text:find("error code", colon, true)
  end
end

--- The server's code inside a text of its own, or nil. A nested code wins over
--- the general one in front of it (protocols 4.3: "21304, Task is Failed, …
--- errCode: 60002").
---@param text any
---@return integer|nil
function M.code_in(text)
  if type(text) ~= "string" then return nil end
  text = text:gsub("\\u003d", "=")
  local digits = last_code(text) or worded_code(text) or text:match "^(%d%d%d%d%d+),%s"
  return digits and tonumber(digits)
end

return M
