package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func verifyTiles(keys keys, dir string) error {
	published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, origin, _, err := keys.open(published)
	if err != nil {
		return err
	}
	var l log
	for start := int64(0); start < tree.N; start += 1 << tileHeight {
		width := min(tree.N-start, 1<<tileHeight)
		data, err := os.ReadFile(filepath.Join(dir, "tile", "entries", tilePath(start>>tileHeight, width)))
		if err != nil {
			return err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("entry %d: broken off", start+i)
			}
			length := 2 + int(binary.BigEndian.Uint16(data))
			if err := l.append(data[2:length]); err != nil {
				return err
			}
			data = data[length:]
		}
		if len(data) != 0 {
			return fmt.Errorf("%d bytes after entry %d", len(data), start+width-1)
		}
	}
	if err := l.check(tree); err != nil {
		return err
	}
	// Independent of the entries: tlog authenticates each tile that it reads against the signed root.
	reader := tlog.TileHashReader(tree, &tiles{dir})
	count := 0
	for _, tile := range allTiles(tree.N) {
		data, err := (&tiles{dir}).ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return err
		}
		want, err := tlog.ReadTileData(tile, &l)
		if err != nil {
			return err
		}
		if !bytes.Equal(data[0], want) {
			return fmt.Errorf("%s holds other hashes than its entries have", path(tile))
		}
		count++
	}
	for i := int64(0); i < tree.N; i += 1 + tree.N/64 {
		if _, err := tlog.ProveRecord(tree.N, i, reader); err != nil {
			return err
		}
	}
	fmt.Printf("VERIFIED: %s: %d entries, %d tiles\n", origin, tree.N, count)
	return nil
}

// allTiles are the tiles of a tree of n records, the partial ones in their widest form.
func allTiles(n int64) []tlog.Tile {
	var found []tlog.Tile
	for level := 0; n > 0; level++ {
		for start := int64(0); start < n; start += 1 << tileHeight {
			width := min(n-start, 1<<tileHeight)
			found = append(found, tlog.Tile{H: tileHeight, L: level, N: start >> tileHeight, W: int(width)})
		}
		n >>= tileHeight
	}
	return found
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

// tiles reads tiles where c2sp.org/tlog-tiles puts them.
type tiles struct{ dir string }

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.dir, path(tile)))
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", path(tile), len(data))
		}
		found[i] = data
	}
	return found, nil
}

func path(tile tlog.Tile) string {
	return filepath.Join("tile", strconv.Itoa(tile.L), tilePath(tile.N, int64(tile.W)))
}

func tilePath(n, width int64) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if width < 1<<tileHeight {
		name += fmt.Sprintf(".p/%d", width)
	}
	return name
}
