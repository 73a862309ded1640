-- What goes wrong at the gateway and behind it: the switches of schema.settings that change
-- answers, and the gateway's errors about services (protocols 1.5).

local db = require "taskclient.sandbox.face.db"
local json = require "taskclient.sandbox.face.json"
local reply = require "taskclient.sandbox.face.reply"
local settings = require "taskclient.sandbox.face.settings"

local M = {}

local TAIL = " ,ip: 127.0.0.1 ,port: 9001 ,serviceKind: linkis-mg-gateway"

local function echo(rq)
  return { data = rq.body ~= "" and rq.body or json.null }
end

---10050: no such service.
function M.no_application(rq, name)
  reply.gateway(rq.path, 1, ("NoApplicationExistsException: errCode: 10050 ,desc: Application"
    .. " %s does not exist "
    .. "any instances(应用程序 %s 不存在任何实例)%s"):format(name, name, TAIL), echo(rq), 200)
end

---11011: the registry knows no such instance.
function M.no_service(rq)
  reply.gateway(rq.path, 1, ("GatewayErrorException: errCode: 11011 ,desc: There are no"
    .. " services available in "
    .. "the registry URL:%s (注册表 URL 中没有可用的服务)%s"):format(rq.path, TAIL), echo(rq), 200)
end

---11011 of another kind: no instance carries the label that a submit asks for.
function M.no_route(rq, label)
  local text = json.encode(json.array { { stringValue = label, labelKey = "route",
    feature = json.null,
    modifiable = true, featureKey = "feature", empty = false } })
  reply.gateway(rq.path, 1, ("GatewayErrorException: errCode: 11011 ,desc: Cannot route to the"
    .. " corresponding "
    .. "service, URL:%s RouteLabel:%s(无法路由到相应的服务，URL：%s RouteLabel: %s)%s"):format(
    rq.path, text, rq.path, text, TAIL), echo(rq), 200)
end

local function hits(rq) return rq.path:find(settings.fail_match) ~= nil end

-- A switch is true, a code, or {code =, times =}.
local function armed(name)
  local value = settings[name]
  if type(value) ~= "table" then return value end
  if (value.times or 1) <= 0 then return false end
  value.times = (value.times or 1) - 1
  settings.set(name, value)
  return value.code or true
end

---Faults of the gateway; true when it has answered.
function M.gateway(rq)
  if settings.delay > 0 and hits(rq) then ngx.sleep(settings.delay) end
  if not hits(rq) then return false end
  if armed "empty_500" then
    reply.empty(500)
    return true
  end
  local code = armed "gateway_error"
  if code then
    reply.infrastructure(tonumber(code) or 500, rq.path)
    return true
  end
  code = armed "gateway_status1"
  if code then
    if tonumber(code) == 11011 then
      M.no_service(rq)
    else
      M.no_application(rq, "linkis-cg-entrance")
    end
    return true
  end
  return false
end

---Faults of the services behind; true when it has answered.
function M.service(rq, name)
  if settings.history_down and name ~= "entrance" then
    M.no_application(rq, "linkis-ps-publicservice")
    return true
  end
  local code = hits(rq) and armed "boot_error"
  if code then
    reply.boot(tonumber(code) or 500)
    return true
  end
  return false
end

---Waits as an entrance does for a job history that is down, then raises.
function M.block_on_history()
  if not settings.history_down then return end
  ngx.sleep(settings.public_service_block)
  reply.java("entrance", "UnknownHostException", "linkis-ps-publicservice")
end

---A submit while job history is down gives no answer for its whole row of retries.
function M.block_submit()
  if not settings.history_down then return end
  ngx.sleep(settings.public_service_block * 4)
  reply.fail("entrance", 20052, "Persist error, please submit again(持久化失败，请重新提交)")
end

---A crashed entrance that the registry still lists: the first answer has no body.
function M.dead_entrance(rq, instance)
  if not settings.entrance_crash or instance ~= settings.entrances[1] then return false end
  if settings.entrance_crash ~= "listed" then return false end
  local seen = db.row("SELECT value FROM setting WHERE key = 'crash_seen'")
  if seen then
    reply.infrastructure(500, rq.path)
  else
    settings.set("crash_seen", 1)
    reply.empty(500)
  end
  return true
end

return M
