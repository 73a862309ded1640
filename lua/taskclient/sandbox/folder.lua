-- The sandbox's folder on disk: made, removed. Lua 5.4 with luv.

local uv = require "luv"

local M = {}

local MARK = "temporary" -- a file of this name: the sandbox made the folder and removes it

---@return string path where temporary folders are made
function M.parent()
  local named = os.getenv "TMPDIR" or ""
  return named ~= "" and named or "/tmp"
end

---@return string path of a new temporary folder
function M.temporary()
  local dir, reason = uv.fs_mkdtemp(M.parent() .. "/taskclient-sandbox-XXXXXX")
  if not dir then error("cannot make a temporary folder: " .. reason, 0) end
  assert(io.open(dir .. "/" .. MARK, "w")):close()
  return dir
end

---Makes a folder with its parents.
---@return string absolute path
function M.make(dir)
  local step = dir:sub(1, 1) == "/" and "" or uv.cwd()
  for part in dir:gmatch("[^/]+") do
    step = step .. "/" .. part
    uv.fs_mkdir(step, 448)
  end
  local real = uv.fs_realpath(step)
  if not real or uv.fs_stat(real).type ~= "directory" then
    error("cannot make the folder " .. dir, 0)
  end
  return real
end

local function remove_tree(path)
  local scan = uv.fs_scandir(path)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then break end
    local child = path .. "/" .. name
    if kind == "directory" then remove_tree(child) else uv.fs_unlink(child) end
  end
  uv.fs_rmdir(path)
end

---What the end of the sandbox leaves: nothing of a temporary folder, the state of another.
function M.clean(dir)
  if uv.fs_stat(dir .. "/" .. MARK) then return remove_tree(dir) end
  for _, name in ipairs { "supervisor.pid", "nginx.pid", "nginx.conf" } do
    uv.fs_unlink(dir .. "/" .. name)
  end
  for _, name in ipairs { "tmp", "groups", "work" } do remove_tree(dir .. "/" .. name) end
end

return M
