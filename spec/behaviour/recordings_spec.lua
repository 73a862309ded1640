-- Every recorded exchange of a real Linkis 1.8.0, sent to the sandbox in order with ids mapped;
-- what comes back is compared: HTTP code, envelope status, the JSON's names and types, the start
-- of the message, the headers that matter. Skipped where the recordings are not at hand.

local cjson = require "cjson"
local recording = require "spec.support.recording"
local wait = require "spec.support.wait"

local folder = recording.folder()
if not folder then
  pending "the recordings are not at hand"
  return
end

-- Whole recordings that are not sent, each with its reason.
local left_out = {
  ["09-rsa-login"] = "its passwords are encrypted for the key of that server; login_spec covers"
    .. " RSA",
  ["09-session-expiry"] = "needs another session length and pauses of 25 s; login_spec covers"
    .. " expiry",
  ["09-session-of-another-gateway"] = "the sandbox has one gateway",
  ["55-download-job-list"] = "dates relative to the recording select its rows",
  ["82-two-entrances"] = "which of two entrances takes a job is random",
  ["83-routing"] = "counts of random choices",
  ["84-crash"] = "a registry that drops a dead instance after 26 s is not modelled",
  ["85-crash-after"] = "goes with 84",
  ["86-public-service-down"] = "minutes of waiting; the switch history_down has its own spec",
  ["86-public-service-down-kill"] = "as above", ["86-public-service-down-status"] = "as above",
  ["86-public-service-down-submit"] = "as above",
  ["94-queue"] = "no exchanges",
}

-- Members whose type depends on the moment, on the engine or on MySQL.
local loose = { engineInstance = true, costTime = true, requestEndTime = true,
  requestSpendTime = true,
  resultLocation = true, logPath = true, errCode = true, errDesc = true, metricsMap = true,
    stack = true,
  execId = true, progress = true, metrics = true }

-- Differences on purpose: recording, part of the request line, what differs, reason.
local on_purpose = dofile "spec/support/recording_differences.lua"

-- The state of the replay ------------------------------------------------------------------

local sandbox, port
local ids, shorts, tickets = {}, {}, {}
local last_task
local today = os.date "!%Y-%m-%d"

local TOKEN = { { name = "Host", value = "127.0.0.1" }, { name = "Connection", value = "close" },
  { name = "Token-Code", value = "LINKIS-UNAVAILABLE-TOKEN" }, { name = "Token-User",
    value = "hadoop" } }

local function ask(target)
  local reply = assert(recording.send(port, { line = "GET " .. target .. " HTTP/1.1",
    headers = TOKEN, body = "" }))
  return cjson.decode(reply.body)
end

local function map_id(id) return ids[id] or id end

local function map_ids(text)
  local function middle(a, id, b) return a .. map_id(id) .. b end
  local function each(a, list) return a .. list:gsub("%d+", map_id) end
  text = text:gsub("(/jobhistory/)(%d+)(/get)", middle):gsub("(/entrance/)(%d+)(/)", middle)
  text = text:gsub("([kb][Ii][Dd]=)([%d,]+)", each)
  text = text:gsub("(/%d%d%d%d%-%d%d%-%d%d/)(%d+)(%.log)", middle)
  return (text:gsub("(/result/[%d-]+/%w+/%w+/)(%d+)", each))
end

local function map_text(text)
  text = map_ids(text:gsub("%$RT", "/tmp/linkis"):gsub("2026%-11%-22", today))
  text = text:gsub("(%u+_%a+_%a+)_(%d+)", function(queue, index)
    return shorts[queue .. "_" .. index] or queue .. "_" .. index
  end)
  for old, new in pairs(tickets) do
    local at = text:find(old, 1, true)
    if at then text = text:sub(1, at - 1) .. new .. text:sub(at + #old) end
  end
  return text
end

-- Long sleeps only make the run long.
local function shorten(code)
  return (code:gsub("sleep (%d+)", function(n)
    n = tonumber(n)
    return "sleep " .. (n <= 2 and 0.4 or n <= 12 and 1.5 or n)
  end))
end

-- MySQL's words that SQLite does not have, and a decimal that SQLite would round.
local function translate(code)
  for from, to in pairs {
    ["as char%)"] = "as text)", ["date '"] = "'", ["timestamp '"] = "'",
    ["concat%(([^,()]+), (char%(%d+%)), ([^()]+)%)"] = "%1||%2||%3",
    ["concat%('row ', ([^()]+)%)"] = "'row '||(%1)",
    ["12345678901234567%.89"] = "'%0'",
  } do code = code:gsub(from, to) end
  return code
end

local function map_body(body)
  body = translate(map_text(shorten(body)))
  return (body:gsub('("taskIDList": )(%b[])', function(a, list) return a .. list:gsub("%d+",
    map_id) end))
end

local function mapped(request)
  local copy = { line = map_text(request.line), headers = {}, body = map_body(request.body) }
  for i, header in ipairs(request.headers) do
    local value = map_text(header.value)
    if header.name:lower() == "content-length" then value = tostring(#copy.body) end
    if header.name:lower() == "connection" then value = "close" end
    copy.headers[i] = { name = header.name, value = value }
  end
  return copy
end

local function cookie_of(reply)
  local value
  for _, header in ipairs(reply.headers) do
    if header.name:lower() == "set-cookie" then
      value = header.value:match "^linkis_user_session_ticket_id_v1=([^;]+)" or value
    end
  end
  return value
end

-- The newest row of a list of one, where nothing else tells the id of a refused submit.
local function learn_newest(expected, got)
  local old = expected.body:match '"totalPage":%d+,"tasks":%[{"taskID":(%d+)'
  local new = got.body:match '"totalPage":%d+.-"taskID":(%d+)'
    or got.body:match '"tasks":%[{"taskID":(%d+)'
  if old and new and not ids[old] then ids[old] = new end
end

local function ids_of(body)
  return body:match('"taskID":(%d+),"execID":"exec_id018014linkis%-cg%-entrance[%d.]+:9104'
    .. '([^"]+)"')
end

local function learn(expected, got)
  learn_newest(expected, got)
  local old, new = cookie_of(expected), cookie_of(got)
  if old and new then tickets[old] = new end
  local id, short = ids_of(expected.body)
  local our, ours = ids_of(got.body)
  if id and our then ids[id], shorts[short], last_task = our, ours, our end
end

-- Comparing -----------------------------------------------------------------------------------

local function kind(value)
  if value == cjson.null then return "null" end
  if type(value) == "table" then
    return (next(value) == nil or value[1] ~= nil) and "list" or "object"
  end
  return type(value)
end

local function is_empty(value) return type(value) == "table" and next(value) == nil end

local compare

local function compare_objects(old, new, at, found)
  for name, value in pairs(old) do
    if new[name] == nil then found[#found + 1] = at .. name .. " is missing"
    elseif not loose[name] then compare(value, new[name], at .. name .. ".", found) end
  end
  for name in pairs(new) do
    if old[name] == nil then found[#found + 1] = at .. name .. " is new" end
  end
end

function compare(old, new, at, found)
  if is_empty(old) or is_empty(new) then
    if type(old) ~= type(new) then
      found[#found + 1] = at .. " " .. kind(old) .. " -> " .. kind(new)
    end
    if is_empty(old) ~= is_empty(new) and kind(old) ~= "list" then
      found[#found + 1] = at .. " emptiness differs"
    end
  elseif kind(old) ~= kind(new) then
    found[#found + 1] = at .. " " .. kind(old) .. " -> " .. kind(new)
  elseif kind(old) == "object" then
    compare_objects(old, new, at, found)
  elseif kind(old) == "list" then
    compare(old[1], new[1], at .. "1.", found)
  end
end

local function compare_rows(expected, got, found)
  if expected.body:find('"script/text"', 1, true) then return end
  local old = expected.body:match '"fileContent":(%b[])'
  local new = got.body:match '"fileContent":(%b[])'
  if old and old ~= new then found[#found + 1] = ("rows %s -> %s"):format(old, tostring(new)) end
end

local function start_of(message)
  if message == cjson.null then return "null" end
  return (message:gsub("%d+", "#"):sub(1, 40))
end

local function compare_json(expected, got, found)
  local ok, old = pcall(cjson.decode, expected.body)
  if not ok then return end
  local fine, new = pcall(cjson.decode, got.body)
  if not fine then
    found[#found + 1] = "no JSON: " .. got.body:sub(1, 80)
    return
  end
  if old.status ~= new.status then
    found[#found + 1] = ("status %s -> %s (%s)"):format(tostring(old.status), tostring(new.status),
      tostring(new.message))
  end
  if old.message and start_of(old.message) ~= start_of(new.message or "") then
    found[#found + 1] = ("message %q -> %q"):format(tostring(old.message), tostring(new.message))
  end
  if type(old.method) ~= type(new.method) or (type(old.method) == "string" and #old.method > 0
    and map_text(old.method) ~= new.method) then
    found[#found + 1] = ("method %s -> %s"):format(tostring(old.method), tostring(new.method))
  end
  compare_objects(old, new, "", found)
  compare_rows(expected, got, found)
end

local function values(reply, name)
  local list = {}
  for _, header in ipairs(reply.headers) do
    if header.name:lower() == name then list[#list + 1] = header.value:gsub("v1=[^;]+", "v1=*") end
  end
  return list
end

local function compare_headers(expected, got, found)
  for _, name in ipairs { "content-type", "allow", "content-disposition", "cache-control",
    "set-cookie" } do
    local old, new = table.concat(values(expected, name), " | "), table.concat(values(got, name),
      " | ")
    if old:lower() ~= new:lower() then
      found[#found + 1] = ("%s: %s -> %s"):format(name, old, new)
    end
  end
  for _, name in ipairs { "date", "access-control-allow-origin" } do
    local old, new = #values(expected, name), #values(got, name)
    if old ~= new then found[#found + 1] = ("%d times %s, was %d"):format(new, name, old) end
  end
  if expected.chunked ~= got.chunked then
    found[#found + 1] = "chunked: " .. tostring(got.chunked)
  end
end

-- A cut body is compared by what its beginning shows.
local function compare_start(expected, got, found)
  local old = expected.body:match '"status":(%-?%d+)'
  local new = got.body:match '"status":(%-?%d+)'
  if old ~= new then
    found[#found + 1] = ("status %s -> %s"):format(tostring(old), tostring(new))
  end
end

local function compare_text(expected, got, found)
  if values(expected, "content-type")[1] == "text/html;charset=utf-8" then return end
  local old, new = map_text(expected.body), got.body:gsub("%s+$", "")
  old = old:gsub("\\x(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  if old ~= new then found[#found + 1] = ("text %q -> %q"):format(old, new) end
end

local function differences(expected, got)
  local found = {}
  if expected.code ~= got.code then
    found[1] = ("HTTP %d -> %d %s"):format(expected.code, got.code, got.body:sub(1, 200))
    return found
  end
  if expected.cut then compare_start(expected, got, found)
  elseif expected.bytes then
    if got.body:sub(1, 2) ~= "PK" and expected.body:find "PK" then
      found[#found + 1] = "no spreadsheet"
    end
  elseif expected.body == "" then
    if got.body ~= "" then found[#found + 1] = "a body came" end
  elseif expected.body:find "^{" then compare_json(expected, got, found)
  else compare_text(expected, got, found) end
  compare_headers(expected, got, found)
  return found
end

local function excused(name, request, found)
  local rest = {}
  for _, text in ipairs(found) do
    local reason
    for _, rule in ipairs(on_purpose) do
      if name:find(rule[1]) and request.line:find(rule[2], 1, true) and text:find(rule[3]) then
        reason = rule[4]
      end
    end
    if not reason then rest[#rest + 1] = text end
  end
  return rest
end

-- Remarks: changes of state seen between two requests, to be waited for (or to have been).
local rank = { Inited = 1, Scheduled = 2, Running = 3, Succeed = 4, Failed = 4, Cancelled = 4 }

local function wait_for(id, state)
  wait.eventually(function()
    local reply = ask("/api/rest_j/v1/jobhistory/" .. id .. "/get")
    local status = reply.data.task and reply.data.task.status
    return status and rank[status] >= rank[state]
  end, 30, "task " .. id .. " " .. state)
end

local function obey(remark)
  local id, state = remark:match "task (%d+): job history says (%a+)"
  if id then return wait_for(map_id(id), state) end
  state = remark:match "history: status (%a+)" or remark:match "^ +[%d.]+ s (%a+): HTTP"
    or remark:match "^ (Succeed), " or remark:find "administrator looks" and "Succeed"
  if state and last_task then wait_for(last_task, state) end
  if remark:find "20.5 s: /status of the first" then sandbox:evict() end
end

-- Tasks that the recordings name without showing how they came about.
local unrecorded = {
  ["16-back-end-errors"] = { id = "1", short = "IDE_hadoop_shell_0", code = "echo hello; id -un" },
  ["31-log"] = { id = "21", short = "IDE_hadoop_shell_14", code = "seq 1 30" },
  ["35-bad-exec-id"] = { id = "25", short = "IDE_hadoop_shell_18", code = "echo x" },
  ["32-log-polled"] = { id = "22", short = "IDE_hadoop_shell_15", code = "seq 1 12" },
  ["50-history-get"] = { id = "34", short = "IDE_hadoop_shell_27", code = "echo x" },
  ["54-history-others"] = { id = "35", short = "IDE_hadoop_shell_28", code = "echo x" },
}

local function submit_unrecorded(task)
  local body = cjson.encode { executionContent = { code = task.code, runType = "shell" },
    labels = { engineType = "shell-1", userCreator = "hadoop-IDE" },
      source = { scriptPath = "check.sh" } }
  local headers = { { name = "Content-Type", value = "application/json" },
    { name = "Content-Length", value = tostring(#body) }, table.unpack(TOKEN) }
  local reply = recording.send(port, { line = "POST /api/rest_j/v1/entrance/submit HTTP/1.1",
    headers = headers,
    body = body })
  learn({ headers = {}, body = '"taskID":' .. task.id
    .. ',"execID":"exec_id018014linkis-cg-entrance127.0.0.1:9104' .. task.short .. '"' }, reply)
  wait_for(last_task, "Succeed")
end

local function login_unrecorded()
  local reply = recording.send(port, {
    line = "GET /api/rest_j/v1/user/login?userName=hadoop&password=hadoop HTTP/1.1",
    headers = { TOKEN[1], TOKEN[2] }, body = "" })
  tickets["M7UZXQP9Ld0BHS73vs7VWKZ4rNm6KQ2w2HLiVea4FcQ="] = cookie_of(reply)
end

local before = {
  ["13-token-and-cookie"] = login_unrecorded,
  ["81-restart-after"] = function() sandbox:restart_entrance() end,
}

-- A body that the recording shows only the beginning of.
local function cut(request)
  return #request.body < (request.length or 0) and not request.body:find("$RT", 1, true)
end

local function replay(name)
  if before[name] then before[name]() end
  if unrecorded[name] then submit_unrecorded(unrecorded[name]) end
  local wrong = {}
  for _, step in ipairs(recording.steps(folder, name)) do
    if type(step) == "string" then obey(step)
    elseif step.reply and not cut(step.request) then
      local got, err = recording.send(port, mapped(step.request))
      if not got then
        wrong[#wrong + 1] = step.request.line .. ": " .. tostring(err)
      else
        learn(step.reply, got)
        for _, text in ipairs(excused(name, step.request, differences(step.reply, got))) do
          wrong[#wrong + 1] = step.request.line .. "\n      " .. text
        end
      end
    end
  end
  return wrong
end

describe("the sandbox answers as the recorded server:", function()
  lazy_setup(function()
    sandbox = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop" }, admin = "hadoop",
      tokens = {
        ["LINKIS-UNAVAILABLE-TOKEN"] = "*", ["CHECK-EXPIRED"] = { expired = true },
        ["CHECK-ONE-HOST"] = { hosts = { "10.9.8.7" } }, ["CHECK-ONE-USER"] = "alice",
        ["ADMIN-CHECK"] = "*",
      },
      settings = { owner_check = true, source_hang = 0.1 },
    })
    port = tonumber(sandbox.url:match ":(%d+)")
  end)
  lazy_teardown(function()
    if sandbox then sandbox:stop() end
  end)

  for _, name in ipairs(recording.names(folder)) do
    if left_out[name] then
      pending(name .. ": " .. left_out[name])
    else
      it(name, function()
        local wrong = replay(name)
        assert(#wrong == 0, "\n    " .. table.concat(wrong, "\n    "))
      end)
    end
  end
end)
