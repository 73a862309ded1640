-- The sandbox's Linkis REST face: the gateway's way of a request, from the raw URI to the service
-- behind it (protocols 1.5, 3.0). Runs in nginx (LuaJIT); what services answer stands in face/.

local each = require "taskclient.compat".each
local db = require "taskclient.sandbox.face.db"
local reply = require "taskclient.sandbox.face.reply"
local schema = require "taskclient.sandbox.schema"
local settings = require "taskclient.sandbox.face.settings"

local M = {}

local auth, faults, memory, published, versions
local services = {}

---Opens the state; called once per worker.
---@param dir string the sandbox's folder
function M.init(dir)
  math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
  db.open(dir .. "/state.sqlite", schema)
  settings.refresh()
  auth = require "taskclient.sandbox.face.auth"
  faults = require "taskclient.sandbox.face.faults"
  memory = require "taskclient.sandbox.face.memory"
  published = require "taskclient.sandbox.face.published"
  versions = require "taskclient.sandbox.face.versions"
  services.entrance = require "taskclient.sandbox.face.entrance"
  services.jobhistory = require "taskclient.sandbox.face.history"
  services.filesystem = require "taskclient.sandbox.face.filesystem"
  require "taskclient.sandbox.face.export"
  require "taskclient.sandbox.face.files"
end

local function read_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local name = not body and ngx.req.get_body_file()
  if not name then return body or "" end
  local file = io.open(name, "rb")
  body = file:read("*a")
  file:close()
  return body
end

-- One value per name: of several, Spring takes the first.
local function query()
  local out = {}
  for name, value in each(ngx.req.get_uri_args(0)) do
    if type(value) == "table" then value = value[1] end
    out[name] = value == true and "" or value
  end
  return out
end

local function headers()
  local out = {}
  for name, value in each(ngx.req.get_headers(0, true)) do
    out[name] = type(value) == "table" and table.concat(value, "; ") or value
  end
  return out
end

local function request()
  local method = ngx.req.get_method()
  return {
    raw = ngx.var.request_uri, path = ngx.var.request_uri:match("^[^?]*"), method = method,
    query = query(), headers = headers(), body = method == "GET" and "" or read_body(),
  }
end

-- The gateway's filter runs only when a body arrives where it reads one.
local function swallowed(rq)
  if rq.method == "GET" or rq.method == "HEAD" or rq.body ~= "" then return false end
  local rest = rq.path:match("^/api/rest_%a+/v1/(.*)$") or ""
  return rest:find("^user/") ~= nil or rest == "entrance/submit" or rest == "entrance/execute"
end

local function cannot_find(rq)
  reply.gateway(rq.path, 1, "Cannot find a service to deal " .. rq.path .. ", ignore it.", nil, 200)
end

local function call_service(rq, mount, service, rest)
  if mount ~= "j" then return reply.boot(404) end
  local ok, err = pcall(service.handle, rq, rest)
  if ok then return end
  if not reply.is_raised(err) then
    ngx.log(ngx.ERR, err)
    err = select(2, pcall(reply.java, "entrance", "IllegalStateException", tostring(err)))
  end
  reply.raised(err)
end

local function to_service(rq)
  local mount, version, rest = rq.path:match("^/api/rest_(%a+)/v(%d+)/?(.*)$")
  if version and version ~= "1" then
    return reply.gateway(rq.path, 1, "The gatewayv1 not support version v" .. version .. ".", nil,
      200)
  end
  local name, tail = (rest or ""):match("^([^/]+)/(.+)$")
  if not name then return cannot_find(rq) end
  local service = services[name:lower()]
  if not service then return faults.no_application(rq, name) end
  if faults.service(rq, name:lower()) then return end
  if versions.profile().published then tail = published.translate(rq, name:lower(), tail) end
  if tail then call_service(rq, mount, service, tail) end
end

local function gateway(rq)
  if rq.path:find("^/dws/") then return reply.infrastructure(500, rq.path) end
  if not rq.path:find("^/api/") then return reply.infrastructure(404, rq.path) end
  if swallowed(rq) then return reply.empty(200) end
  local user = rq.path:match("^/api/rest_j/v1/user/?(.*)$")
  if user then return auth.user(rq, user) end
  if auth.identify(rq) then to_service(rq) end
end

---Answers one request.
function M.handle()
  settings.refresh()
  memory.forget()
  local rq = request()
  if faults.gateway(rq) then return end
  gateway(rq)
end

return M
