-- The file system's lesser end points: make, write, fetch, move and delete users' own files
-- (protocols 3.12.6).

local each = require "taskclient.compat".each
local db = require "taskclient.sandbox.face.db"
local filesystem = require "taskclient.sandbox.face.filesystem"
local json = require "taskclient.sandbox.face.json"
local reply = require "taskclient.sandbox.face.reply"
local settings = require "taskclient.sandbox.face.settings"
local submit = require "taskclient.sandbox.face.submit"

local function fail(code, desc) reply.fail("publicservice", code, desc) end
local function ok(rq, data) reply.backend(rq.method_name, 0, "OK", data) end

local function body_of(rq)
  if not (rq.headers["Content-Type"] or ""):find("application/json", 1, true) then
    reply.refuse(415)
  end
  local body = json.decode(rq.body)
  if type(body) ~= "table" then reply.refuse(400) end
  return body
end

-- A path of the body; a missing key is a NullPointerException.
local function path_of(rq, body, name)
  if type(body[name]) ~= "string" then
    reply.java("publicservice", "NullPointerException", "null")
  end
  return filesystem.checked(rq, body[name])
end

local serial = 0

local function write_disk(text)
  serial = serial + 1
  local disk = ("%s/files/u%d-%d"):format(settings.dir, ngx.now() * 1000, serial)
  local file = assert(io.open(disk, "wb"))
  file:write(text)
  file:close()
  return disk
end

local function put(rq, path, text)
  local parent = path:match "^(.*)/[^/]*$"
  submit.make_dirs(parent, rq.user)
  db.run([[INSERT OR REPLACE INTO file(path, parent, kind, disk, size, mtime_ms, owner)
    VALUES(?,?,'raw',?,?,?,?)]],
    path, parent, write_disk(text), #text, math.floor(ngx.now() * 1000), rq.user)
end

local function create_dir(rq)
  local path = path_of(rq, body_of(rq), "path")
  if filesystem.lookup(path) then
    fail(80005, "The created folder name is duplicated!(创建的文件夹名重复!)")
  end
  submit.make_dirs(path, rq.user)
  ok(rq)
end

local function create_file(rq)
  local path = path_of(rq, body_of(rq), "path")
  if filesystem.lookup(path) then fail(80006, "The created file name is duplicated!(创建的文件名重复!)") end
  put(rq, path, "")
  ok(rq)
end

local function save_script(rq)
  local body = body_of(rq)
  put(rq, path_of(rq, body, "path"), tostring(body.scriptContent or ""))
  ok(rq)
end

local function delete(rq)
  local path = path_of(rq, body_of(rq), "path")
  if not filesystem.lookup(path) then
    fail(80008, "The deleted file or folder does not exist!(删除的文件或者文件夹不存在!)")
  end
  db.run("DELETE FROM file WHERE path = ?1 OR substr(path, 1, length(?1) + 1) = ?1 || '/'", path)
  ok(rq)
end

local function move_row(rq, from, to)
  if filesystem.lookup(to) then fail(80007, "The renamed name is repeated!(重命名的名字重复!)") end
  filesystem.existing(from)
  submit.make_dirs(to:match "^(.*)/[^/]*$", rq.user)
  db.run([[UPDATE file SET path = ?2 || substr(path, length(?1) + 1),
    parent = CASE WHEN path = ?1 THEN ?3 ELSE ?2 || substr(parent, length(?1) + 1) END
    WHERE path = ?1 OR substr(path, 1, length(?1) + 1) = ?1 || '/']], from, to,
      to:match "^(.*)/[^/]*$")
  ok(rq)
end

local function rename(rq)
  local body = body_of(rq)
  move_row(rq, path_of(rq, body, "oldDest"), path_of(rq, body, "newDest"))
end

local function move(rq)
  local body = body_of(rq)
  local from = path_of(rq, body, "filePath")
  move_row(rq, from, path_of(rq, body, "newDir") .. "/" .. from:match "[^/]*$")
end

-- multipart/form-data: name, file name and content of each part.
local function parts(rq)
  local mark = (rq.headers["Content-Type"] or ""):match 'boundary="?([^";]+)'
  if not mark then reply.refuse(415) end
  local list, at = {}, 1
  mark = "--" .. mark
  while true do
    local _, start = rq.body:find(mark .. "\r\n", at, true)
    if not start then break end
    local head_end, content = rq.body:find("\r\n\r\n", start, true)
    local stop = content and rq.body:find("\r\n" .. mark, content, true)
    if not stop then break end
    local head = rq.body:sub(start + 1, head_end)
    list[#list + 1] = { name = head:match '[; ]name="([^"]*)"',
      file = head:match 'filename="([^"]*)"',
      content = rq.body:sub(content + 1, stop - 1) }
    at = stop + 2
  end
  return list
end

local function upload(rq)
  local list, folder = parts(rq), rq.query.path
  for _, part in ipairs(list) do
    if part.name == "path" then folder = part.content end
  end
  local path = filesystem.checked(rq, folder)
  for _, part in ipairs(list) do
    if part.file then put(rq, path .. "/" .. part.file:match "[^/]*$", part.content) end
  end
  ok(rq)
end

local function download(rq)
  local body = body_of(rq)
  local good, err = pcall(function()
    local row = filesystem.existing(path_of(rq, body, "path"))
    if row.kind == "dir" then fail(80011, "The file does not exist(文件不存在)") end
    local text = filesystem.bytes_of(row)
    reply.stream("text/plain;charset=" .. (type(body.charset) == "string" and body.charset
      or "utf-8"),
      "attachment;filename=" .. row.path:match "[^/]*$")
    reply.send(200, text)
  end)
  if good then return end
  reply.stream("text/plain;charset=utf-8")
  reply.send(200, "error(错误):" .. (reply.is_raised(err) and err.text or tostring(err)))
end

local routes = {
  createNewDir = { "POST", create_dir }, createNewFile = { "POST", create_file },
    upload = { "POST", upload },
  download = { "POST", download }, deleteDirOrFile = { "POST", delete }, rename = { "POST",
    rename },
  move = { "POST", move }, saveScript = { "POST", save_script },
}

for name, route in each(routes) do filesystem.routes[name] = route end
