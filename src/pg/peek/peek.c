/*
 * Reads bytes out of shared buffers without a pin, for reads that only steer a search.
 *
 * A pin and a share lock cost about a microsecond, this about fifty nanoseconds. The price: the bytes may be torn by a writer.
 * They come from the wanted page, though: a buffer that holds another page, or one that is being read in, is told from its
 * descriptor before and after the copy. Compiled against the server's own header, so that the layout is that of the major version
 * built for. See docs/design/hnsw.md.
 */
#include "postgres.h"

#include "storage/buf_internals.h"
#include "storage/bufmgr.h"

#if PG_VERSION_NUM >= 190000
#error "check the layout of BufferDesc.state before building for this major version"
#endif

typedef struct CastmatchPlace
{
	uint32		block;
	uint16		offset;
} CastmatchPlace;

#define CACHE_LINE 64

static inline bool
holds(BufferDesc *desc, const BufferTag *tag)
{
	uint32		state = pg_atomic_read_u32(&desc->state);

	/* While the header is locked the tag may already be that of the next page. */
	if ((state & (BM_LOCKED | BM_VALID | BM_TAG_VALID)) != (BM_VALID | BM_TAG_VALID))
		return false;
#if PG_VERSION_NUM >= 160000
	return BufferTagsEqual(&desc->tag, tag);
#else
	return BUFFERTAGS_EQUAL(desc->tag, *tag);
#endif
}

/*
 * Copies `length` bytes from each of `count` places to `out`. `hints[block]` is the buffer that held the block when last seen, or 0.
 * Indexes of places that could not be read this way are written to `missed`; their number is returned.
 */
extern int	castmatch_peek(Oid spc, Oid db, Oid rel, const int32 *hints, uint32 hint_count,
						   const CastmatchPlace *places, int count, int length, char *out, int32 *missed);

int
castmatch_peek(Oid spc, Oid db, Oid rel, const int32 *hints, uint32 hint_count,
			   const CastmatchPlace *places, int count, int length, char *out, int32 *missed)
{
	int			misses = 0;
	BufferTag	tag;
#if PG_VERSION_NUM >= 160000
	RelFileLocator locator = {.spcOid = spc, .dbOid = db, .relNumber = rel};

	InitBufferTag(&tag, &locator, MAIN_FORKNUM, 0);
#else
	RelFileNode node = {.spcNode = spc, .dbNode = db, .relNode = rel};

	INIT_BUFFERTAG(tag, node, MAIN_FORKNUM, 0);
#endif

	/* All cache misses of one expansion at once instead of one after the other. */
	for (int i = 0; i < count; i++)
	{
		uint32		block = places[i].block;
		int32		buffer = block < hint_count ? hints[block] : 0;

		if (buffer > 0 && buffer <= NBuffers)
		{
			const char *start = (const char *) BufferGetBlock(buffer) + places[i].offset;

			__builtin_prefetch(GetBufferDescriptor(buffer - 1));
			for (int line = 0; line < length + CACHE_LINE - 1; line += CACHE_LINE)
				__builtin_prefetch(start + Min(line, length - 1));
		}
	}
	for (int i = 0; i < count; i++)
	{
		uint32		block = places[i].block;
		int32		buffer = block < hint_count ? hints[block] : 0;
		bool		copied = false;

		if (buffer > 0 && buffer <= NBuffers && (int) places[i].offset + length <= BLCKSZ)
		{
			BufferDesc *desc = GetBufferDescriptor(buffer - 1);

			tag.blockNum = block;
			if (holds(desc, &tag))
			{
				pg_read_barrier();
				memcpy(out + (size_t) i * length, (const char *) BufferGetBlock(buffer) + places[i].offset, length);
				pg_read_barrier();
				copied = holds(desc, &tag);
			}
		}
		if (!copied)
			missed[misses++] = i;
	}
	return misses;
}
