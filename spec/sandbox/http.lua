-- curl as the sandbox specs' client: the faces are judged by what is on the wire, not by our own
-- client.

local process = require "spec.support.process"
local cjson = require "cjson"

local M = {}

local function capture(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

---Runs curl with these arguments; the body, and the HTTP code (0: no reply).
---@param arguments string[]
---@return string body, integer code
function M.curl(arguments)
  local words = { "curl", "-s", "--max-time", "30", "-w", "\n%{http_code}" }
  for _, argument in ipairs(arguments) do words[#words + 1] = argument end
  for i, word in ipairs(words) do words[i] = process.quote(word) end
  local text = capture(table.concat(words, " "))
  local body, code = text:match "^(.*)\n(%d+)$"
  return body, tonumber(code)
end

local function linkis(box, arguments)
  local list = { "-H", "Token-Code: " .. box.token, "-H", "Token-User: " .. box.user }
  for _, argument in ipairs(arguments) do list[#list + 1] = argument end
  local body, code = M.curl(list)
  local ok, reply = pcall(cjson.decode, body)
  return ok and reply or nil, code, body
end

---GET of a Linkis path below /api/rest_j/v1/; the envelope.
function M.get(box, path) return linkis(box, { box.url .. "/api/rest_j/v1/" .. path }) end

---Submits a task; its data {taskID, execID}.
function M.submit(box, code, run_type, engine, creator, labels)
  labels = labels or {}
  labels.engineType, labels.userCreator = engine, box.user .. "-" .. (creator or "spec")
  local reply, http, body = linkis(box, {
    box.url .. "/api/rest_j/v1/entrance/submit", "-H", "Content-Type: application/json", "-d",
      cjson.encode {
      executionContent = { code = code, runType = run_type },
      labels = labels,
    },
  })
  assert(reply and reply.status == 0, ("submit: %s %s"):format(http, body))
  return reply.data
end

---The task's row of job history.
function M.task(box, id)
  local reply, code, body = M.get(box, ("jobhistory/%d/get"):format(id))
  return reply and reply.data and reply.data.task
    or error(("task %d: %d %s"):format(id, code, body))
end

---GET or POST on the Lindorm face.
function M.lindorm(box, path, form)
  local list = { box.lindorm_url .. path }
  for name, value in pairs(form or {}) do
    list[#list + 1] = "--data-urlencode"
    list[#list + 1] = name .. "=" .. value
  end
  return M.curl(list)
end

return M
