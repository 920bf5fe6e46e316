package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Sentinels of devices that a caller branches on.
var (
	ErrNoDevice  = errors.New("no such device")
	ErrRevoked   = errors.New("device was revoked")
	ErrSpent     = errors.New("proof was shown before")
	ErrSlotSpent = errors.New("slot has enrolled before")
	ErrNoCode    = errors.New("no such code")            // wrong, used, or too old
	ErrTooMany   = errors.New("too many proofs at once") // of one device
)

const (
	maxDevices = 10   // of one identity
	maxRevoked = 100  // that are remembered of one identity
	maxProofs  = 1000 // of one device that are remembered at once

	// deviceLife is how long a device is remembered that is not used. Its last access token is worth nothing after seven
	// days, and cannot be renewed another thirty days later.
	deviceLife = 38 * 24 * time.Hour
)

// Device is a key that speaks for an identity.
type Device struct {
	ID      string // random
	Who     string // bare JID
	Key     string // thumbprint
	Made    time.Time
	Used    time.Time
	Revoked time.Time // zero: it is good
}

// Devices are the devices of a ledger. What a method says is on disk when it returns.
type Devices struct{ l *Ledger }

// Devices returns the devices of the ledger; they can be used as long as it is open.
func (l *Ledger) Devices() *Devices { return &Devices{l} }

// Enrolment is a key that wants to be a device.
type Enrolment struct {
	Key   string // thumbprint
	Proof [32]byte
	Until time.Time // how long Proof and slot are remembered
}

// Enrol makes the key a device of who, and spends the proof (ErrSpent) and the marks of the slot (ErrSlotSpent), which no
// enrolment had before. A key that is a device already stays the same one; one that was revoked is refused: ErrRevoked.
// left are devices that had to leave, those unused for the longest time.
func (d *Devices) Enrol(ctx context.Context, e Enrolment, who string, slot ...[32]byte) (dev Device, left []Device, err error) {
	err = d.l.inTx(ctx, func(tx *sql.Tx) error {
		if err := spend(ctx, tx, e.Proof, "", e.Until, d.l.opt.Now()); err != nil {
			return err
		}
		for _, m := range slot {
			err := spend(ctx, tx, m, "", e.Until, d.l.opt.Now())
			if errors.Is(err, ErrSpent) {
				return ErrSlotSpent
			}
			if err != nil {
				return err
			}
		}
		dev, left, err = d.enrol(ctx, tx, who, e.Key, false)
		return err
	})
	return dev, left, wrap("enrol a device", err)
}

// EnrolByCode makes the key a device of the identity that the code is for, and removes the code. A key that was revoked is
// good again: a person who may make codes wants it so.
func (d *Devices) EnrolByCode(ctx context.Context, e Enrolment, code [32]byte) (dev Device, left []Device, err error) {
	err = d.l.inTx(ctx, func(tx *sql.Tx) error {
		now := d.l.opt.Now()
		if err := spend(ctx, tx, e.Proof, "", e.Until, now); err != nil {
			return err
		}
		var who string
		err := tx.QueryRowContext(ctx, `DELETE FROM codes WHERE code = ? AND until > ? RETURNING who`, code[:], int64(toMoment(now))).Scan(&who)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoCode
		}
		if err != nil {
			return err
		}
		dev, left, err = d.enrol(ctx, tx, who, e.Key, true)
		return err
	})
	return dev, left, wrap("enrol a device", err)
}

func (d *Devices) enrol(ctx context.Context, tx *sql.Tx, who, key string, forgive bool) (dev Device, left []Device, err error) {
	now := toMoment(d.l.opt.Now())
	dev, err = scanDevice(tx.QueryRowContext(ctx, deviceColumns+`WHERE who = ? AND key = ?`, who, key))
	switch {
	case errors.Is(err, ErrNoDevice):
		dev = Device{ID: randomID(), Who: who, Key: key, Made: now.time(), Used: now.time()}
		_, err = tx.ExecContext(ctx, `INSERT INTO devices (id, who, key, made, used, revoked) VALUES (?, ?, ?, ?, ?, 0)`,
			dev.ID, who, key, int64(now), int64(now))
	case err == nil && !dev.Revoked.IsZero() && !forgive:
		return Device{}, nil, ErrRevoked
	case err == nil:
		dev.Used, dev.Revoked = now.time(), time.Time{}
		_, err = tx.ExecContext(ctx, `UPDATE devices SET used = ?, revoked = 0 WHERE id = ?`, int64(now), dev.ID)
	}
	if err != nil {
		return Device{}, nil, err
	}
	left, err = query(ctx, tx, deviceColumns+`WHERE who = ? AND revoked = 0 AND id <> ? ORDER BY used DESC, made DESC LIMIT -1 OFFSET ?`,
		who, dev.ID, maxDevices-1)
	if err != nil {
		return Device{}, nil, err
	}
	for _, old := range left {
		if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE id = ?`, old.ID); err != nil {
			return Device{}, nil, err
		}
	}
	return dev, left, nil
}

// Use notes that a device has shown a proof and returns the device. ErrNoDevice, ErrRevoked: the proof is worth nothing;
// ErrSpent: it was shown before. The proof is remembered until then.
func (d *Devices) Use(ctx context.Context, id string, proof [32]byte, until time.Time) (Device, error) {
	var dev Device
	now := d.l.opt.Now()
	err := d.l.inTx(ctx, func(tx *sql.Tx) (err error) {
		dev, err = scanDevice(tx.QueryRowContext(ctx, deviceColumns+`WHERE id = ?`, id))
		if err != nil {
			return err
		}
		if !dev.Revoked.IsZero() {
			return ErrRevoked
		}
		if err := spend(ctx, tx, proof, id, until, now); err != nil {
			return err
		}
		dev.Used = toMoment(now).time()
		_, err = tx.ExecContext(ctx, `UPDATE devices SET used = max(used, ?) WHERE id = ?`, int64(toMoment(now)), id)
		return err
	})
	return dev, wrap("use a device", err)
}

// spend notes a mark that must not come again until then.
func spend(ctx context.Context, tx *sql.Tx, mark [32]byte, device string, until, now time.Time) error {
	if device != "" {
		if _, err := tx.ExecContext(ctx, `DELETE FROM spent WHERE device = ? AND until <= ?`, device, int64(toMoment(now))); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM spent WHERE device = ?`, device).Scan(&n); err != nil {
			return err
		}
		if n >= maxProofs {
			return ErrTooMany
		}
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO spent (mark, device, until) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET device = excluded.device, until = excluded.until WHERE until <= ?`,
		mark[:], device, int64(toMoment(until)), int64(toMoment(now)))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// AddCode notes a code, by its hash, that makes one device of who until then.
func (d *Devices) AddCode(ctx context.Context, code [32]byte, who string, until time.Time) error {
	_, err := d.l.db.ExecContext(ctx, `INSERT INTO codes (code, who, until) VALUES (?, ?, ?)`, code[:], who, int64(toMoment(until)))
	return wrap("note a code", err)
}

// List returns the devices of who, or of everybody, also those that were revoked.
func (d *Devices) List(ctx context.Context, who string) ([]Device, error) {
	list, err := query(ctx, d.l.db, deviceColumns+`WHERE who = ? OR ? = '' ORDER BY who, made, id`, who, who)
	return list, wrap("list the devices", err)
}

// Revoke ends a device and returns it. ErrNoDevice: it is not there, or was revoked before.
func (d *Devices) Revoke(ctx context.Context, id string) (Device, error) {
	list, err := d.revoke(ctx, `id = ?`, id)
	if err == nil && len(list) == 0 {
		err = ErrNoDevice
	}
	if err != nil {
		return Device{}, wrap("revoke a device", err)
	}
	return list[0], nil
}

// RevokeAll ends all devices of who, and the codes that were made for more.
func (d *Devices) RevokeAll(ctx context.Context, who string) ([]Device, error) {
	list, err := d.revoke(ctx, `who = ?`, who)
	if err == nil {
		_, err = d.l.db.ExecContext(ctx, `DELETE FROM codes WHERE who = ?`, who)
	}
	return list, wrap("revoke devices", err)
}

func (d *Devices) revoke(ctx context.Context, where, arg string) (list []Device, err error) {
	now := toMoment(d.l.opt.Now())
	err = d.l.inTx(ctx, func(tx *sql.Tx) error {
		if list, err = query(ctx, tx, deviceColumns+`WHERE revoked = 0 AND `+where+` ORDER BY made, id`, arg); err != nil {
			return err
		}
		for i := range list {
			list[i].Revoked = now.time()
			if _, err := tx.ExecContext(ctx, `UPDATE devices SET revoked = ? WHERE id = ?`, int64(now), list[i].ID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE id IN (SELECT id FROM devices
				WHERE who = ? AND revoked > 0 ORDER BY revoked DESC, id LIMIT -1 OFFSET ?)`, list[i].Who, maxRevoked); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

const deviceColumns = `SELECT id, who, key, made, used, revoked FROM devices `

// scanDevice reads one row. ErrNoDevice: there is none.
func scanDevice(row interface{ Scan(...any) error }) (Device, error) {
	var d Device
	var made, used, revoked moment
	err := row.Scan(&d.ID, &d.Who, &d.Key, &made, &used, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return Device{}, ErrNoDevice
	}
	d.Made, d.Used, d.Revoked = made.time(), used.time(), revoked.time()
	return d, err
}

func query(ctx context.Context, from interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, q string, args ...any) (list []Device, err error) {
	rows, err := from.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		d, err := scanDevice(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

func randomID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
