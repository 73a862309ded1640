-- Who is asking: sessions, tokens, and the gateway's own /user/* end points (protocols 2).

local db = require "taskclient.sandbox.face.db"
local json = require "taskclient.sandbox.face.json"
local reply = require "taskclient.sandbox.face.reply"
local rsa = require "taskclient.sandbox.face.rsa"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local PROXY_COOKIE = "linkis_user_session_proxy_ticket_id_v1"
local GONE = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
local TAIL = " ,ip: 127.0.0.1 ,port: 9001 ,serviceKind: linkis-mg-gateway"
local NO_COOKIE = "errCode: 11002 ,desc: You are not logged in, please login first"
  .. "(您尚未登录，请先登录!)" .. TAIL
local DEAD_COOKIE = "errCode: 11002 ,desc: You are not logged in, please login first!"
  .. "(您尚未登录，请先登录!)" .. TAIL
local PLAIN_NO = "You are not logged in, please login first(您尚未登录，请先登录)!"

local function now() return math.floor(ngx.now() * 1000) end

---True for one of the configured administrators.
function M.is_admin(user)
  local admin = settings.admin
  if type(admin) ~= "table" then return user == admin end
  for _, name in ipairs(admin) do
    if name == user then return true end
  end
  return false
end

-- The first cookie of that name, as back ends take it; quotes are dropped.
local function cookie(rq, name)
  for part in (rq.headers["Cookie"] or rq.headers["cookie"] or ""):gmatch("[^;]+") do
    local key, value = part:match("^%s*([^=]+)=(.*)$")
    if key == name then return (value:gsub('^"(.*)"$', "%1")) end
  end
end

-- The live session of the request; false when there is a cookie that is dead, nil without one.
local function session(rq)
  local ticket = cookie(rq, versions.profile().cookie)
  if not ticket then return nil end
  local row = db.row("SELECT * FROM session WHERE ticket = ?", ticket)
  local idle, limit = row and now() - row.seen_ms, settings.session_timeout * 1000
  if not row or idle > limit then return false end
  if rq.storm then return false end
  if idle > limit / 2 then
    db.run("UPDATE session SET seen_ms = ? WHERE ticket = ?", now(), ticket)
  end
  return row
end

local function random_ticket()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file:read(32)
  file:close()
  return ngx.encode_base64(bytes)
end

local function open_session(user)
  local ticket = random_ticket()
  db.run("INSERT INTO session(ticket, user, gateway, seen_ms) VALUES(?, ?, '127.0.0.1:9001', ?)",
    ticket, user, now())
  return versions.profile().cookie .. "=" .. ticket .. "; Path=/"
end

-- Tokens ------------------------------------------------------------------------

local function token_failure(code, user, reason)
  return ("Token Authentication Failed, token: %s，tokenUser: %s, reason: %s"):format(code, user,
    reason .. TAIL)
end

local function contains(list, word)
  if list == nil or list == "*" or list == word then return true end
  if type(list) ~= "table" then return false end
  for _, item in ipairs(list) do
    if item == "*" or item == word then return true end
  end
  return false
end

-- nil when the token allows this user from this address, else the reason.
local function token_refusal(rq, code, user)
  local rule = settings.tokens[code]
  if rule == nil then
    return ("errCode: 15206 ,desc: Failed to query token:%s data(Token:%s 数据查询失败), Caused by:"
      .. "LinkisException{errCode=15204, desc='Invalid Token(数据库中未配置的无效令牌)', ip='127.0.0.1', "
      .. "port=9001, serviceKind='linkis-mg-gateway'}"):format(code, code)
  end
  if type(rule) ~= "table" then rule = { users = rule } end
  local host = (rq.headers["X-Forwarded-For"] or ngx.var.remote_addr):match("^[^,%s]+")
  if rule.expired then
    return ("errCode: 15201 ,desc: Token is not valid or stale(%s 令牌已过期)!"):format(code)
  elseif not contains(rule.users, user) then
    return ("errCode: 15202 ,desc: Illegal TokenUser for Token(Token非法用户: %s)!"):format(user)
  elseif not contains(rule.hosts, host) then
    return ("errCode: 15203 ,desc: Illegal Host for Token(非法ip: %s)!"):format(host)
  end
end

-- "none", "ok", or "broken" where the gateway stumbles over itself (500).
local function token_headers(rq)
  local code, user = rq.headers["Token-Code"], rq.headers["Token-User"]
  if code and user then
    return (code == "" or user == "") and "broken" or "ok", code, user
  end
  if cookie(rq, "Token-Code") and cookie(rq, "Token-User") then return "broken" end
  return "none"
end

-- Sets rq.user (back ends), rq.login_user (job history), rq.admin; false when it has answered.
local function settle(rq, row, user)
  rq.login_user = row and row.user or user
  rq.user = row and row.proxy or rq.login_user
  rq.admin = M.is_admin(rq.login_user)
  return true
end

---Identifies the caller of anything but /user/*.
---@param rq table the request
---@return boolean ok false: a reply has gone out
function M.identify(rq)
  local how, code, user = token_headers(rq)
  if how == "broken" then
    reply.infrastructure(500, rq.path)
    return false
  end
  rq.storm = cookie(rq, versions.profile().cookie) and settings.take "unauthorized"
  local row = session(rq)
  if how == "ok" then
    local refusal = token_refusal(rq, code, user)
    if refusal then
      reply.gateway(rq.path, -1, token_failure(code, user, refusal))
      return false
    end
    rq.admin_token = code:upper():find("ADMIN-", 1, true) ~= nil
    return settle(rq, row, user)
  end
  if row then return settle(rq, row) end
  reply.gateway(rq.path, -1, row == nil and PLAIN_NO or DEAD_COOKIE)
  return false
end

-- /user/* -----------------------------------------------------------------------

local user_ops = {}

local function facts(data)
  if versions.profile().session_time_out then
    data.sessionTimeOut = settings.session_timeout * 1000
    data.enableWatermark = true
  end
  return data
end

local function failed(rq, text)
  reply.gateway(rq.path, 1, "login failed! reason: " .. text)
end

-- userName and password of the query, else of the body; nil when the body is no object.
local function credentials(rq)
  local query = rq.query
  local password = query.password or query.passwdEncrypt
  if query.userName and password then return query.userName, password end
  local body = json.decode(rq.body == "" and "{}" or rq.body)
  if type(body) ~= "table" then return nil end
  local function text(value) return type(value) == "string" and value or "" end
  return text(body.userName), text(body.password or body.passwdEncrypt)
end

local function right_password(user, password)
  return settings.users[user] ~= nil and settings.users[user] == password
end

-- The lines that delete old cookies come before the one that counts; never for administrators.
local function login_cookies(rq, user)
  local fresh = open_session(user)
  if M.is_admin(user) then return fresh end
  local host = (rq.headers["Host"] or "127.0.0.1"):gsub(":%d+$", "")
  local name = versions.profile().cookie
  return { name .. "=; Path=/; Domain=" .. host .. "; " .. GONE, name .. "=; Path=/; " .. GONE,
    fresh }
end

local function refuse_login(rq, text)
  if cookie(rq, versions.profile().cookie) then
    local host = (rq.headers["Host"] or "127.0.0.1"):gsub(":%d+$", "")
    local line = versions.profile().cookie .. "=; Path=/; Domain=" .. host .. "; " .. GONE
    ngx.header["Set-Cookie"] = { line, line, line, line }
  end
  reply.gateway(nil, 1, text, facts {})
end

local function already(user)
  local old = versions.profile().already_text == "old"
  local text = user .. (old and "Already logged in, please log out before signing in"
    or " already logged in, please log out before signing in")
  local status = versions.profile().already_status
  reply.gateway(nil, status, text .. "(已经登录，请先退出再进行登录)！",
    status == 1 and { redirectToIndex = true } or { userName = user })
end

function user_ops.login(rq)
  local live = session(rq)
  if live then return already(live.user) end
  local user, password = credentials(rq)
  if not user then
    return failed(rq, "IllegalStateException: Expected BEGIN_OBJECT but was STRING at line 1"
      .. " column 1 path $")
  end
  if settings.rsa then password = rsa.decrypt(password) or "" end
  if user == "" then return refuse_login(rq, "Username can not be empty(用户名不能为空)！") end
  if password == "" then return refuse_login(rq, "Password can not be blank(密码不能为空)！") end
  if settings.web_login_ban and rq.headers["webLogin"] == "true" then
    return refuse_login(rq, "System users are prohibited from logging in(系统用户禁止登录)！")
  end
  if not M.is_admin(user:lower()) then user = user:lower() end
  if not right_password(user, password) then
    return refuse_login(rq, "wrong user name or password(用户名或密码错误)！")
  end
  ngx.header["Set-Cookie"] = login_cookies(rq, user)
  reply.gateway(nil, 0, "login successful(登录成功)！", facts { userName = user,
    isAdmin = M.is_admin(user) })
end

function user_ops.logout(rq)
  local ticket = cookie(rq, versions.profile().cookie)
  if ticket then db.run("DELETE FROM session WHERE ticket = ?", ticket) end
  ngx.header["Set-Cookie"] = { versions.profile().cookie .. "=; Path=/; " .. GONE,
    PROXY_COOKIE .. "=; Path=/; " .. GONE }
  reply.gateway(nil, 0, "Logout successful(退出登录成功)！")
end

function user_ops.heartbeat(rq)
  local row = session(rq)
  if row then return reply.gateway(nil, 0, "Maintain heartbeat success(维系心跳成功)") end
  reply.gateway(nil, -1, row == nil and NO_COOKIE or DEAD_COOKIE)
end

function user_ops.userInfo(rq)
  local row = session(rq)
  if row then
    return reply.gateway(nil, 0, "get user information succeed!", { userName = row.user })
  end
  failed(rq, row == nil and "NonLoginException: " .. NO_COOKIE or "LoginExpireException: "
    .. DEAD_COOKIE)
end

function user_ops.publicKey()
  local data = { enableSSL = false, enableLoginEncrypt = settings.rsa == true }
  if settings.rsa then data.publicKey, data.debugTime = rsa.public_key(), now() end
  reply.gateway(nil, 0, "Gain success(获取成功)！", data)
end

function user_ops.baseinfo()
  reply.gateway(nil, 0, "get baseinfo success(获取成功)！",
    { resultSetExportEnable = true, engineLogOnlyAdminEnable = false, linkisClusterName = "" })
end

user_ops["token-login"] = function(rq)
  if not versions.profile().token_login then
    return reply.gateway(nil, 1, "unknown request URI token-login")
  end
  if rq.method ~= "POST" then return reply.gateway(nil, 1, "Only support method POST") end
  local how, code, user = token_headers(rq)
  if how ~= "ok" then return failed(rq, "NullPointerException: ") end
  local refusal = token_refusal(rq, code, user)
  if refusal then return reply.gateway(rq.path, -1, token_failure(code, user, refusal)) end
  ngx.header["Set-Cookie"] = open_session(user)
  reply.gateway(nil, 0, "login successful(登录成功)！", { userName = user, isAdmin = false })
end

function user_ops.proxy(rq)
  local row, name = session(rq), rq.query.proxyUser
  if not settings.proxy_user or not row or not name then
    return failed(rq, "NullPointerException: ")
  end
  db.run("UPDATE session SET proxy = ? WHERE ticket = ?", name, row.ticket)
  ngx.header["Set-Cookie"] = PROXY_COOKIE .. "=" .. random_ticket() .. "; Path=/"
  reply.gateway(nil, 0, "set proxy user success", { proxyUser = name })
end

---Answers /api/rest_j/v1/user/<name>.
function M.user(rq, name)
  local op = user_ops[name]
  if not op then return reply.gateway(nil, 1, "unknown request URI " .. name) end
  op(rq)
end

return M
