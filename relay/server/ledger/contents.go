package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SetContent notes that the file at path holds the bytes of that SHA-256. Whoever uses that compares the bytes.
func (l *Ledger) SetContent(digest [32]byte, path string) {
	l.note(func(b *batch) { b.contents[digest] = path })
}

// Content returns the path that was last noted for the bytes of that SHA-256; empty: none.
func (l *Ledger) Content(digest [32]byte) (path string, err error) {
	l.mu.RLock()
	path, ok := l.next.contents[digest]
	if !ok && l.writing != nil {
		path, ok = l.writing.contents[digest]
	}
	l.mu.RUnlock()
	if ok {
		return path, nil
	}
	err = l.stmts.content.QueryRowContext(context.Background(), digest[:]).Scan(&path)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for a file with the same bytes: %w", err)
	}
	return path, nil
}

// ForgetContent removes what was noted for that SHA-256: its file is gone.
func (l *Ledger) ForgetContent(digest [32]byte) {
	l.note(func(b *batch) { b.contents[digest] = "" })
}

func (b *batch) writeContents(ctx context.Context, tx *sql.Tx) error {
	err := each(ctx, tx, `INSERT INTO contents (digest, path) VALUES (?, ?) ON CONFLICT DO UPDATE SET path = excluded.path`, b.contents,
		func(digest key, path string) []any {
			if path == "" {
				return nil
			}
			return []any{digest[:], path}
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, `DELETE FROM contents WHERE digest = ?`, b.contents, func(digest key, path string) []any {
		if path != "" {
			return nil
		}
		return []any{digest[:]}
	})
}
