-- The process groups of running work, noted in the sandbox's folder, so that whoever outlives the
-- engine can end what it had started. One empty file a group.

local uv = require "luv"

local M = {}

local function folder(dir) return dir .. "/groups" end

---@param dir string
---@param pid integer leader of the group
function M.add(dir, pid)
  local file = io.open(folder(dir) .. "/" .. pid, "w")
  if file then file:close() end
end

function M.remove(dir, pid) uv.fs_unlink(folder(dir) .. "/" .. pid) end

-- A group noted by an engine that died long ago may be anybody's now: ours know our folder.
local function is_ours(pid, dir)
  local file = io.open("/proc/" .. pid .. "/environ", "rb")
  if not file then return not uv.fs_stat("/proc/self") end
  local text = file:read("a")
  file:close()
  return text:find("TASKCLIENT_SANDBOX_DIR=" .. dir, 1, true) ~= nil
end

---Ends every group that is still noted.
function M.kill_left(dir)
  local scan = uv.fs_scandir(folder(dir))
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    local pid = tonumber(name)
    if pid and is_ours(pid, dir) then uv.kill(-pid, "sigkill") end
    uv.fs_unlink(folder(dir) .. "/" .. name)
  end
end

---Makes the folder, and ends what an earlier sandbox in the same folder had to leave behind.
function M.prepare(dir)
  uv.fs_mkdir(folder(dir), 448)
  M.kill_left(dir)
end

return M
