-- The states of a job, for both servers: queued, running, succeeded, failed, cancelled, unknown.

local M = {}

-- those that a job does not leave
M.ENDED = { succeeded = true, failed = true, cancelled = true }

return M
