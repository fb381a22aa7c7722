//! Places of rows, as PostgreSQL writes them.

use pgrx::pg_sys;

/// The server's form of (block, line pointer).
pub fn item_pointer(block: u32, offset: u16) -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData {
            bi_hi: (block >> 16) as u16,
            bi_lo: (block & 0xffff) as u16,
        },
        ip_posid: offset,
    }
}

/// (Block, line pointer) of the server's form.
pub fn parts(tid: pg_sys::ItemPointerData) -> (u32, u16) {
    (
        (u32::from(tid.ip_blkid.bi_hi) << 16) | u32::from(tid.ip_blkid.bi_lo),
        tid.ip_posid,
    )
}
