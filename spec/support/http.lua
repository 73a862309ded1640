-- Raw requests to the sandbox's Linkis face, for specs about the sandbox itself: no client between.

local cjson = require "cjson"
local recording = require "spec.support.recording"

local M = {}

-- lua-cjson gives floats; ids are to be printed as integers.
local function whole(value)
  if type(value) == "number" then return math.tointeger(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = whole(item) end
  end
  return value
end

---A speaker to one sandbox: `speaker(method, target, opts)`; opts: body (text or table), headers
---(name to
---value), token (default the sandbox's; false: none), user. Gives code, decoded body or text,
---reply.
---@param sandbox table
function M.speaker(sandbox)
  local port = tonumber(sandbox.url:match ":(%d+)")
  return function(method, target, opts)
    opts = opts or {}
    local body = opts.body or ""
    if type(body) == "table" then body = cjson.encode(body) end
    local headers = { { name = "Host", value = "127.0.0.1" }, { name = "Connection",
      value = "close" } }
    local function add(name, value) headers[#headers + 1] = { name = name, value = value } end
    if opts.token ~= false then
      add("Token-Code", opts.token or sandbox.token)
      add("Token-User", opts.user or "hadoop")
    end
    if method ~= "GET" then
      add("Content-Type", "application/json")
      add("Content-Length", tostring(#body))
    end
    for name, value in pairs(opts.headers or {}) do add(name, value) end
    local reply, err = recording.send(port, { line = ("%s /api/rest_j/v1/%s HTTP/1.1"):format(
      method, target),
      headers = headers, body = body }, opts.limit)
    if not reply then return nil, err end
    local ok, value = pcall(cjson.decode, reply.body)
    return reply.code, ok and whole(value) or reply.body, reply
  end
end

---The body of a submit.
function M.submit_body(code, creator, more)
  local body = { executionContent = { code = code, runType = "shell" },
    labels = { engineType = "shell-1", userCreator = "hadoop-" .. (creator or "SPEC") } }
  for name, value in pairs(more or {}) do body[name] = value end
  return body
end

---All values of a header.
function M.values(reply, name)
  local list = {}
  for _, header in ipairs(reply.headers) do
    if header.name:lower() == name:lower() then list[#list + 1] = header.value end
  end
  return list
end

return M
